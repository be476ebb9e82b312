#!/usr/bin/env bash
# Threads that libc does not know of.
. "$(dirname "$0")/lib.sh"
program clones

cases 'without the shim: ' clones "${plain[@]}"
cases '' clones "${shim[@]}"
cases 'without fast watches: ' clones "${shim[@]}" EFDSHIM_FAST=0
exit $failed
