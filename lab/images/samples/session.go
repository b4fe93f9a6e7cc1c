// Copyright: (c) 2026, meshops maintainers
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
)

const sessionCookie = "session"

// sessions keeps the signed-in user in a cookie that only this process can sign.
type sessions struct{ key []byte }

func newSessions() sessions {
	key := make([]byte, sha256.Size)
	rand.Read(key) //nolint:errcheck // never fails: it stops the program instead
	return sessions{key}
}

// user is the name in a cookie of ours, or "".
func (s sessions) user(r *http.Request) string {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return ""
	}
	payload, signature, _ := strings.Cut(cookie.Value, ".")
	given, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || !hmac.Equal(given, s.sign(payload)) {
		return ""
	}
	name, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return ""
	}
	return string(name)
}

// set signs a user in; the empty name signs out.
func (s sessions) set(w http.ResponseWriter, user string) {
	cookie := &http.Cookie{Name: sessionCookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if user == "" {
		cookie.MaxAge = -1
	} else {
		payload := base64.RawURLEncoding.EncodeToString([]byte(user))
		cookie.Value = payload + "." + base64.RawURLEncoding.EncodeToString(s.sign(payload))
	}
	http.SetCookie(w, cookie)
}

func (s sessions) sign(payload string) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(payload))
	return mac.Sum(nil)
}
