# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys of a run for ssh to its guests, and the configuration of ssh."""

import os
import shutil
import socket
import subprocess
from typing import Mapping

from .. import CannotRun
from ..image.initramfs import Archive


# Files in the directory of the run; keys are not for archives.
CONFIG = 'ssh_config'
KEY = 'ssh_key'
HOST_KEY = 'ssh_host_key'
_KNOWN = 'ssh_known_hosts'
_ALIAS = 'guest'


def free_port() -> int:
    """Return a port of the loopback address that nothing uses now."""
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        port: int = sock.getsockname()[1]
        return port


def _make_key(path: str) -> str:
    """Make a key, and return its public part."""
    for old in (path, f'{path}.pub'):
        if os.path.exists(old):
            os.unlink(old)
    if not shutil.which('ssh-keygen'):
        raise CannotRun('no ssh-keygen on this machine: install the package '
                        'openssh-client')
    try:
        subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C',
                        'pci-ep-run', '-f', path], check=True, timeout=60,
                       stdin=subprocess.DEVNULL, capture_output=True)
        with open(f'{path}.pub', encoding='ascii') as file:
            return file.read()
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotRun(f'cannot make a key for ssh: {error}; check '
                        '--log-dir') from error


def _quoted(path: str) -> str:
    """Return a path as ssh_config has it."""
    return '"' + path.replace('%', '%%') + '"'


def write(rundir: str, ports: Mapping[str, int]) -> None:
    """
    Write the keys of a run and ssh_config, for "ssh -F ssh_config GUEST".

    :param ports: Port of this machine by name of the guest.
    """
    os.makedirs(rundir, exist_ok=True)
    _make_key(os.path.join(rundir, KEY))
    public = _make_key(os.path.join(rundir, HOST_KEY))
    known = os.path.join(rundir, _KNOWN)
    with open(known, 'w', encoding='ascii') as file:
        file.write(f'{_ALIAS} {public}')
    with open(os.path.join(rundir, CONFIG), 'w', encoding='utf-8') as file:
        for name, port in ports.items():
            file.write(f'Host {name}\n  Port {port}\n')
        file.write(f'''Host {' '.join(ports)}
  HostName 127.0.0.1
  User root
  IdentityFile {_quoted(os.path.join(rundir, KEY))}
  IdentitiesOnly yes
  UserKnownHostsFile {_quoted(known)}
  HostKeyAlias {_ALIAS}
  StrictHostKeyChecking yes
''')


def add(archive: Archive, rundir: str) -> None:
    """Put what sshd needs into the archive."""
    for name, source in (('host_key', HOST_KEY),
                         ('authorized_keys', f'{KEY}.pub')):
        with open(os.path.join(rundir, source), 'rb') as file:
            archive.data(f'pciep/ssh/{name}', file.read(), 0o600)
