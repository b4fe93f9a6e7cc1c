# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a release that is a file on the controller to the host, when the host does not have it yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.meshops.istio.plugins.module_utils import mirrors
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError


class ActionModule(ActionBase):
    """Options are documented with the module of the same name."""

    TRANSFERS_FILES = True  # a folder for them is there from the beginning

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Ask the module in check mode whether it needs the file, and run it with the file then."""
        result = super().run(tmp, task_vars)
        del tmp
        args = dict(self._task.args)
        if not args.get("file") or args.get("state") == "absent":
            return {**result, **self._execute_module(module_args=args, task_vars=task_vars)}
        file = Path(str(args["file"])).expanduser()
        try:
            args["checksum"] = verified(file, args.get("checksum"))
        except MeshopsError as error:
            return {**result, "failed": True, "msg": str(error)}
        check_mode, self._task.check_mode = self._task.check_mode, True
        try:
            # the file is not there under this name: what only its content tells is not judged yet
            made = self._execute_module(module_args={**args, "file": f"/nonexistent/{file.name}"}, task_vars=task_vars)
        finally:
            self._task.check_mode = check_mode
        if made.get("changed") and not made.get("failed"):
            shell = self._connection._shell
            args["file"] = self._transfer_file(str(file), shell.join_path(shell.tmpdir, file.name))
            self._fixup_perms2((shell.tmpdir, args["file"]))
            made = self._execute_module(module_args=args, task_vars=task_vars)
        return {**result, **made}


def verified(file: Path, checksum: Any) -> str:
    """The checksum of a file on the controller; MeshopsError when it is not there or not the right one."""
    try:
        digest = mirrors.file_digest(str(file))
    except OSError as error:
        raise MeshopsError(f"{file} cannot be read: {error.strerror}. Give a file of the controller.") from error
    if digest is None:
        raise MeshopsError(f"There is no file {file} on the controller. Give the path of an archive or of istioctl.")
    if checksum and mirrors.parse_checksum(str(checksum)) != digest:
        raise MeshopsError(f"{file} has the checksum sha256:{digest}, not {checksum}. Correct one of them.")
    return f"sha256:{digest}"
