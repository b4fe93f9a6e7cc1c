module samples

go 1.26
