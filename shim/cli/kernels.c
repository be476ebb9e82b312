/* The table: from which kernel on there is what. Only what a filter can see is here: the number of
 * a call and what is in its registers. Left out on purpose is what C libraries use without asking:
 * futex's private, bit set and clock forms, AT_EMPTY_PATH of fstatat, pselect6 and ppoll (of
 * 2.6.16; on x86-64 of 2.6.19); and flags that older kernels ignored (O_CLOEXEC, O_PATH,
 * MSG_CMSG_CLOEXEC), as a filter can refuse but not ignore. */
#include "kernels.h"

#include <errno.h>
#include <sys/syscall.h>

/* calls that newer architectures never had, and those too new for some headers, whose numbers are
 * the same everywhere */
#ifndef SYS_open
#define SYS_open (-1)
#endif
#ifndef SYS_eventfd
#define SYS_eventfd (-1)
#endif
#ifndef SYS_signalfd
#define SYS_signalfd (-1)
#endif
#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif
#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif
#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448
#endif
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#ifndef SYS_set_mempolicy_home_node
#define SYS_set_mempolicy_home_node 450
#endif

/* clang-format off */
#define CALL(name) #name, SYS_##name, ENOSYS, ALWAYS, 0, 0, 0
#define NEWER(name, number) #name, number, ENOSYS, ALWAYS, 0, 0, 0
#define BITS(call, what, argument, bits, error) \
	#call " " what, SYS_##call, error, ANY_BIT, argument, bits, 0
#define EQUAL(call, what, argument, value, error) \
	#call " " what, SYS_##call, error, IS, argument, value, 0
#define OVER(call, what, argument, value, error) \
	#call " " what, SYS_##call, error, ABOVE, argument, value, 0

const struct kernel_gap kernel_gaps[] = {
	{KERNEL(2, 6, 19), CALL(epoll_pwait)},
	{KERNEL(2, 6, 22), CALL(eventfd)},
	{KERNEL(2, 6, 22), CALL(signalfd)},
	{KERNEL(2, 6, 22), CALL(utimensat)},
	{KERNEL(2, 6, 23), CALL(fallocate)},
	{KERNEL(2, 6, 24), EQUAL(fcntl, "F_DUPFD_CLOEXEC", 1, 1030, EINVAL)},
	{KERNEL(2, 6, 25), CALL(timerfd_create)},
	{KERNEL(2, 6, 25), CALL(timerfd_gettime)},
	{KERNEL(2, 6, 25), CALL(timerfd_settime)},
	{KERNEL(2, 6, 25), EQUAL(prctl, "PR_CAPBSET_READ", 0, 23, EINVAL)},
	{KERNEL(2, 6, 25), EQUAL(prctl, "PR_CAPBSET_DROP", 0, 24, EINVAL)},
	{KERNEL(2, 6, 26), EQUAL(getrusage, "RUSAGE_THREAD", 0, 1, EINVAL)},
	{KERNEL(2, 6, 27), CALL(dup3)},
	{KERNEL(2, 6, 27), CALL(epoll_create1)},
	{KERNEL(2, 6, 27), CALL(eventfd2)},
	{KERNEL(2, 6, 27), CALL(inotify_init1)},
	{KERNEL(2, 6, 27), CALL(pipe2)},
	{KERNEL(2, 6, 27), CALL(signalfd4)},
	{KERNEL(2, 6, 27), BITS(socket, "SOCK_CLOEXEC, SOCK_NONBLOCK", 1, 0x80800, EINVAL)},
	{KERNEL(2, 6, 27), BITS(socketpair, "SOCK_CLOEXEC, SOCK_NONBLOCK", 1, 0x80800, EINVAL)},
	{KERNEL(2, 6, 27), BITS(timerfd_create, "TFD_CLOEXEC, TFD_NONBLOCK", 1, 0x80800, EINVAL)},
	{KERNEL(2, 6, 28), CALL(accept4)},
	{KERNEL(2, 6, 28), EQUAL(prctl, "PR_SET_TIMERSLACK", 0, 29, EINVAL)},
	{KERNEL(2, 6, 28), EQUAL(prctl, "PR_GET_TIMERSLACK", 0, 30, EINVAL)},
	{KERNEL(2, 6, 30), BITS(eventfd2, "EFD_SEMAPHORE", 1, 1, EINVAL)},
	{KERNEL(2, 6, 30), CALL(preadv)},
	{KERNEL(2, 6, 30), CALL(pwritev)},
	{KERNEL(2, 6, 31), CALL(perf_event_open)},
	{KERNEL(2, 6, 31), CALL(rt_tgsigqueueinfo)},
	{KERNEL(2, 6, 32), EQUAL(fcntl, "F_SETOWN_EX", 1, 15, EINVAL)},
	{KERNEL(2, 6, 32), EQUAL(fcntl, "F_GETOWN_EX", 1, 16, EINVAL)},
	{KERNEL(2, 6, 32), EQUAL(madvise, "MADV_MERGEABLE", 2, 12, EINVAL)},
	{KERNEL(2, 6, 33), CALL(recvmmsg)},
	{KERNEL(2, 6, 35), EQUAL(fcntl, "F_SETPIPE_SZ", 1, 1031, EINVAL)},
	{KERNEL(2, 6, 35), EQUAL(fcntl, "F_GETPIPE_SZ", 1, 1032, EINVAL)},
	{KERNEL(2, 6, 36), CALL(prlimit64)},
	{KERNEL(2, 6, 37), CALL(fanotify_init)},
	{KERNEL(2, 6, 37), CALL(fanotify_mark)},
	{KERNEL(2, 6, 38), BITS(fallocate, "FALLOC_FL_PUNCH_HOLE", 1, 2, EOPNOTSUPP)},
	{KERNEL(2, 6, 38), EQUAL(madvise, "MADV_HUGEPAGE", 2, 14, EINVAL)},
	{KERNEL(2, 6, 38), EQUAL(madvise, "MADV_NOHUGEPAGE", 2, 15, EINVAL)},
	{KERNEL(2, 6, 39), CALL(clock_adjtime)},
	{KERNEL(2, 6, 39), CALL(name_to_handle_at)},
	{KERNEL(2, 6, 39), CALL(open_by_handle_at)},
	{KERNEL(2, 6, 39), CALL(syncfs)},
	{KERNEL(2, 6, 39), BITS(linkat, "AT_EMPTY_PATH", 4, 0x1000, EINVAL)},
	{KERNEL(2, 6, 39), BITS(fchownat, "AT_EMPTY_PATH", 4, 0x1000, EINVAL)},
	{KERNEL(3, 0, 0), CALL(sendmmsg)},
	{KERNEL(3, 0, 0), CALL(setns)},
	{KERNEL(3, 0, 0), BITS(timerfd_settime, "TFD_TIMER_CANCEL_ON_SET", 1, 2, EINVAL)},
	{KERNEL(3, 1, 0), CALL(getcpu)},
	{KERNEL(3, 1, 0), EQUAL(lseek, "SEEK_DATA", 2, 3, EINVAL)},
	{KERNEL(3, 1, 0), EQUAL(lseek, "SEEK_HOLE", 2, 4, EINVAL)},
	{KERNEL(3, 2, 0), CALL(process_vm_readv)},
	{KERNEL(3, 2, 0), CALL(process_vm_writev)},
	{KERNEL(3, 4, 0), BITS(pipe2, "O_DIRECT", 1, 040000 | 0200000, EINVAL)},
	{KERNEL(3, 4, 0), EQUAL(madvise, "MADV_DONTDUMP", 2, 16, EINVAL)},
	{KERNEL(3, 4, 0), EQUAL(madvise, "MADV_DODUMP", 2, 17, EINVAL)},
	{KERNEL(3, 4, 0), EQUAL(prctl, "PR_SET_CHILD_SUBREAPER", 0, 36, EINVAL)},
	{KERNEL(3, 4, 0), EQUAL(prctl, "PR_GET_CHILD_SUBREAPER", 0, 37, EINVAL)},
	{KERNEL(3, 4, 0), EQUAL(ptrace, "PTRACE_SEIZE", 0, 0x4206, EIO)},
	{KERNEL(3, 5, 0), CALL(kcmp)},
	{KERNEL(3, 5, 0), EQUAL(prctl, "PR_SET_NO_NEW_PRIVS", 0, 38, EINVAL)},
	{KERNEL(3, 5, 0), EQUAL(prctl, "PR_GET_NO_NEW_PRIVS", 0, 39, EINVAL)},
	{KERNEL(3, 5, 0), EQUAL(prctl, "PR_SET_SECCOMP", 0, 22, EINVAL)},
	{KERNEL(3, 8, 0), CALL(finit_module)},
	{KERNEL(3, 11, 0), BITS(openat, "O_TMPFILE", 2, 020000000, EISDIR)},
	{KERNEL(3, 11, 0), BITS(open, "O_TMPFILE", 1, 020000000, EISDIR)},
	{KERNEL(3, 11, 0), EQUAL(timerfd_create, "CLOCK_REALTIME_ALARM", 0, 8, EINVAL)},
	{KERNEL(3, 11, 0), EQUAL(timerfd_create, "CLOCK_BOOTTIME_ALARM", 0, 9, EINVAL)},
	{KERNEL(3, 14, 0), CALL(sched_getattr)},
	{KERNEL(3, 14, 0), CALL(sched_setattr)},
	{KERNEL(3, 15, 0), CALL(renameat2)},
	{KERNEL(3, 15, 0), BITS(fallocate, "FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_ZERO_RANGE", 1, 8 | 16, EOPNOTSUPP)},
	{KERNEL(3, 15, 0), EQUAL(fcntl, "F_OFD_GETLK", 1, 36, EINVAL)},
	{KERNEL(3, 15, 0), EQUAL(fcntl, "F_OFD_SETLK", 1, 37, EINVAL)},
	{KERNEL(3, 15, 0), EQUAL(fcntl, "F_OFD_SETLKW", 1, 38, EINVAL)},
	{KERNEL(3, 15, 0), EQUAL(timerfd_create, "CLOCK_BOOTTIME", 0, 7, EINVAL)},
	{KERNEL(3, 15, 0), EQUAL(prctl, "PR_SET_THP_DISABLE", 0, 41, EINVAL)},
	{KERNEL(3, 17, 0), CALL(getrandom)},
	{KERNEL(3, 17, 0), CALL(kexec_file_load)},
	{KERNEL(3, 17, 0), CALL(memfd_create)},
	{KERNEL(3, 17, 0), CALL(seccomp)},
	{KERNEL(3, 17, 0), EQUAL(fcntl, "F_ADD_SEALS", 1, 1033, EINVAL)},
	{KERNEL(3, 17, 0), EQUAL(fcntl, "F_GET_SEALS", 1, 1034, EINVAL)},
	{KERNEL(3, 18, 0), CALL(bpf)},
	{KERNEL(3, 18, 0), BITS(renameat2, "RENAME_WHITEOUT", 4, 4, EINVAL)},
	{KERNEL(3, 19, 0), CALL(execveat)},
	{KERNEL(4, 1, 0), BITS(fallocate, "FALLOC_FL_INSERT_RANGE", 1, 32, EOPNOTSUPP)},
	{KERNEL(4, 3, 0), CALL(membarrier)},
	{KERNEL(4, 3, 0), CALL(userfaultfd)},
	{KERNEL(4, 3, 0), EQUAL(prctl, "PR_CAP_AMBIENT", 0, 47, EINVAL)},
	{KERNEL(4, 4, 0), CALL(mlock2)},
	{KERNEL(4, 4, 0), BITS(mlockall, "MCL_ONFAULT", 0, 4, EINVAL)},
	{KERNEL(4, 5, 0), CALL(copy_file_range)},
	{KERNEL(4, 5, 0), EQUAL(madvise, "MADV_FREE", 2, 8, EINVAL)},
	{KERNEL(4, 6, 0), CALL(preadv2)},
	{KERNEL(4, 6, 0), CALL(pwritev2)},
	{KERNEL(4, 6, 0), BITS(unshare, "CLONE_NEWCGROUP", 0, 0x02000000, EINVAL)},
	{KERNEL(4, 7, 0), BITS(preadv2, "RWF_DSYNC, RWF_SYNC", 5, 2 | 4, EOPNOTSUPP)},
	{KERNEL(4, 7, 0), BITS(pwritev2, "RWF_DSYNC, RWF_SYNC", 5, 2 | 4, EOPNOTSUPP)},
	{KERNEL(4, 9, 0), CALL(pkey_alloc)},
	{KERNEL(4, 9, 0), CALL(pkey_free)},
	{KERNEL(4, 9, 0), CALL(pkey_mprotect)},
	{KERNEL(4, 11, 0), CALL(statx)},
	{KERNEL(4, 13, 0), EQUAL(fcntl, "F_GET_RW_HINT", 1, 1035, EINVAL)},
	{KERNEL(4, 13, 0), EQUAL(fcntl, "F_SET_RW_HINT", 1, 1036, EINVAL)},
	{KERNEL(4, 14, 0), OVER(membarrier, "MEMBARRIER_CMD_PRIVATE_EXPEDITED", 0, 1, EINVAL)},
	{KERNEL(4, 14, 0), BITS(memfd_create, "MFD_HUGETLB", 1, 4, EINVAL)},
	{KERNEL(4, 14, 0), BITS(preadv2, "RWF_NOWAIT", 5, 8, EOPNOTSUPP)},
	{KERNEL(4, 14, 0), BITS(pwritev2, "RWF_NOWAIT", 5, 8, EOPNOTSUPP)},
	{KERNEL(4, 14, 0), EQUAL(madvise, "MADV_WIPEONFORK", 2, 18, EINVAL)},
	{KERNEL(4, 14, 0), EQUAL(madvise, "MADV_KEEPONFORK", 2, 19, EINVAL)},
	{KERNEL(4, 16, 0), BITS(pwritev2, "RWF_APPEND", 5, 16, EOPNOTSUPP)},
	{KERNEL(4, 18, 0), CALL(io_pgetevents)},
	{KERNEL(4, 18, 0), CALL(rseq)},
	{KERNEL(5, 1, 0), CALL(io_uring_enter)},
	{KERNEL(5, 1, 0), CALL(io_uring_register)},
	{KERNEL(5, 1, 0), CALL(io_uring_setup)},
	{KERNEL(5, 1, 0), CALL(pidfd_send_signal)},
	{KERNEL(5, 2, 0), CALL(fsconfig)},
	{KERNEL(5, 2, 0), CALL(fsmount)},
	{KERNEL(5, 2, 0), CALL(fsopen)},
	{KERNEL(5, 2, 0), CALL(fspick)},
	{KERNEL(5, 2, 0), CALL(move_mount)},
	{KERNEL(5, 2, 0), CALL(open_tree)},
	{KERNEL(5, 3, 0), CALL(clone3)},
	{KERNEL(5, 3, 0), CALL(pidfd_open)},
	{KERNEL(5, 3, 0), EQUAL(ptrace, "PTRACE_GET_SYSCALL_INFO", 0, 0x420e, EIO)},
	{KERNEL(5, 4, 0), EQUAL(madvise, "MADV_COLD", 2, 20, EINVAL)},
	{KERNEL(5, 4, 0), EQUAL(madvise, "MADV_PAGEOUT", 2, 21, EINVAL)},
	{KERNEL(5, 4, 0), EQUAL(waitid, "P_PIDFD", 0, 3, EINVAL)},
	{KERNEL(5, 6, 0), CALL(openat2)},
	{KERNEL(5, 6, 0), CALL(pidfd_getfd)},
	{KERNEL(5, 6, 0), BITS(getrandom, "GRND_INSECURE", 2, 4, EINVAL)},
	{KERNEL(5, 6, 0), BITS(unshare, "CLONE_NEWTIME", 0, 0x80, EINVAL)},
	{KERNEL(5, 7, 0), BITS(mremap, "MREMAP_DONTUNMAP", 3, 4, EINVAL)},
	{KERNEL(5, 8, 0), CALL(faccessat2)},
	{KERNEL(5, 8, 0), BITS(pipe2, "O_NOTIFICATION_PIPE", 1, 0200, EINVAL)},
	{KERNEL(5, 9, 0), CALL(close_range)},
	{KERNEL(5, 10, 0), CALL(process_madvise)},
	{KERNEL(5, 10, 0), BITS(pidfd_open, "PIDFD_NONBLOCK", 1, 04000, EINVAL)},
	{KERNEL(5, 11, 0), CALL(epoll_pwait2)},
	{KERNEL(5, 12, 0), CALL(mount_setattr)},
	{KERNEL(5, 13, 0), CALL(landlock_add_rule)},
	{KERNEL(5, 13, 0), CALL(landlock_create_ruleset)},
	{KERNEL(5, 13, 0), CALL(landlock_restrict_self)},
	{KERNEL(5, 14, 0), CALL(memfd_secret)},
	{KERNEL(5, 14, 0), CALL(quotactl_fd)},
	{KERNEL(5, 14, 0), EQUAL(madvise, "MADV_POPULATE_READ", 2, 22, EINVAL)},
	{KERNEL(5, 14, 0), EQUAL(madvise, "MADV_POPULATE_WRITE", 2, 23, EINVAL)},
	{KERNEL(5, 14, 0), "futex FUTEX_LOCK_PI2", SYS_futex, ENOSYS, IS, 1, 13, 0x7f},
	{KERNEL(5, 15, 0), CALL(process_mrelease)},
	{KERNEL(5, 16, 0), CALL(futex_waitv)},
	{KERNEL(5, 17, 0), CALL(set_mempolicy_home_node)},
	{KERNEL(5, 17, 0), EQUAL(prctl, "PR_SET_VMA", 0, 0x53564d41, EINVAL)},
	{KERNEL(5, 18, 0), EQUAL(madvise, "MADV_DONTNEED_LOCKED", 2, 24, EINVAL)},
	{KERNEL(6, 1, 0), EQUAL(madvise, "MADV_COLLAPSE", 2, 25, EINVAL)},
	{KERNEL(6, 3, 0), BITS(memfd_create, "MFD_NOEXEC_SEAL, MFD_EXEC", 1, 8 | 16, EINVAL)},
	{KERNEL(6, 5, 0), NEWER(cachestat, 451)},
	{KERNEL(6, 6, 0), NEWER(fchmodat2, 452)},
	{KERNEL(6, 6, 0), NEWER(map_shadow_stack, 453)},
	{KERNEL(6, 7, 0), NEWER(futex_wake, 454)},
	{KERNEL(6, 7, 0), NEWER(futex_wait, 455)},
	{KERNEL(6, 7, 0), NEWER(futex_requeue, 456)},
	{KERNEL(6, 8, 0), NEWER(statmount, 457)},
	{KERNEL(6, 8, 0), NEWER(listmount, 458)},
	{KERNEL(6, 8, 0), NEWER(lsm_get_self_attr, 459)},
	{KERNEL(6, 8, 0), NEWER(lsm_set_self_attr, 460)},
	{KERNEL(6, 8, 0), NEWER(lsm_list_modules, 461)},
	{KERNEL(6, 9, 0), BITS(pwritev2, "RWF_NOAPPEND", 5, 32, EOPNOTSUPP)},
	{KERNEL(6, 10, 0), NEWER(mseal, 462)},
	{KERNEL(6, 10, 0), EQUAL(fcntl, "F_DUPFD_QUERY", 1, 1027, EINVAL)},
	{KERNEL(6, 12, 0), EQUAL(fcntl, "F_CREATED_QUERY", 1, 1028, EINVAL)},
	{KERNEL(6, 13, 0), OVER(madvise, "MADV_GUARD_INSTALL", 2, 101, EINVAL)},
	{KERNEL(6, 13, 0), NEWER(setxattrat, 463)},
	{KERNEL(6, 13, 0), NEWER(getxattrat, 464)},
	{KERNEL(6, 13, 0), NEWER(listxattrat, 465)},
	{KERNEL(6, 13, 0), NEWER(removexattrat, 466)},
	{KERNEL(6, 15, 0), NEWER(open_tree_attr, 467)},
	{KERNEL(6, 17, 0), NEWER(file_getattr, 468)},
	{KERNEL(6, 17, 0), NEWER(file_setattr, 469)},
};
/* clang-format on */

const unsigned kernel_gap_count = sizeof(kernel_gaps) / sizeof(kernel_gaps[0]);
