# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# Serves one connection of the host, see net_listen.

# shellcheck source=/dev/null
. "$NET_SCRIPTS/net.sh"
net_serve
