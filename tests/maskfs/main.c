/* Files of a FUSE file system that behave as eventfds with EFD_MASK, for a kernel that has none:
 * whoever opens DIR/mask gets an object of its own. poll, select and epoll on them are the running
 * kernel's, so the suites' model of the rules is held against the kernel itself.
 * Usage: maskfs DIRECTORY COMMAND...; the command finds the directory in MASKFS.
 * Exit code 77 where no FUSE file system can be mounted, else the command's. */
#define _GNU_SOURCE
#include <efdshim/eventfd.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BUFFER = 1 << 16, OBJECTS = 4096, FILE_NODE = 2, CANNOT = 77 };
enum { EVENTS = POLLIN | POLLPRI | POLLOUT | POLLERR | POLLHUP };

static const char name[] = "mask";
static int dev;

static struct {
	struct efd_mask mask;
	uint64_t poll_handle;
	int used, polled;
} objects[OBJECTS];

static void fail(const char *what)
{
	fprintf(stderr, "maskfs: %s: %s\n", what, strerror(errno));
	exit(CANNOT);
}

static void send_out(uint64_t unique, int error, const void *data, size_t size)
{
	struct fuse_out_header head = {(uint32_t)(sizeof(head) + size), error, unique};
	struct iovec iov[2] = {{&head, sizeof(head)}, {(void *)data, size}};
	/* One that was interrupted is not waited for any more (ENOENT). */
	if (writev(dev, iov, 2) < 0 && errno != ENOENT)
		fail("reply");
}

static void reply(const struct fuse_in_header *in, const void *data, size_t size)
{
	send_out(in->unique, 0, data, size);
}

static void refuse(const struct fuse_in_header *in, int err)
{
	send_out(in->unique, -err, NULL, 0);
}

static struct fuse_attr attr_of(uint64_t node)
{
	return (struct fuse_attr){.ino = node,
		.mode = node == FILE_NODE ? S_IFREG | 0600 : S_IFDIR | 0700,
		.nlink = 1,
		.uid = getuid(),
		.gid = getgid(),
		.blksize = 4096};
}

static void do_init(const struct fuse_in_header *in)
{
	struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_write = BUFFER / 2,
		.max_background = 64,
		.congestion_threshold = 64};
	reply(in, &out, sizeof(out));
}

static void do_lookup(const struct fuse_in_header *in, const char *path)
{
	struct fuse_entry_out out = {.nodeid = FILE_NODE, .entry_valid = 3600, .attr_valid = 3600};
	if (strcmp(path, name)) {
		refuse(in, ENOENT);
		return;
	}
	out.attr = attr_of(FILE_NODE);
	reply(in, &out, sizeof(out));
}

static void do_getattr(const struct fuse_in_header *in)
{
	struct fuse_attr_out out = {.attr_valid = 3600, .attr = attr_of(in->nodeid)};
	reply(in, &out, sizeof(out));
}

static void do_open(const struct fuse_in_header *in)
{
	struct fuse_open_out out = {.open_flags = FOPEN_DIRECT_IO | FOPEN_NONSEEKABLE};
	while (out.fh < OBJECTS && objects[out.fh].used)
		out.fh++;
	if (out.fh == OBJECTS) {
		refuse(in, ENFILE);
		return;
	}
	memset(&objects[out.fh], 0, sizeof(objects[0]));
	objects[out.fh].used = 1;
	reply(in, &out, sizeof(out));
}

static void do_read(const struct fuse_in_header *in, const struct fuse_read_in *arg)
{
	if (arg->size < sizeof(struct efd_mask))
		refuse(in, EINVAL);
	else
		reply(in, &objects[arg->fh].mask, sizeof(struct efd_mask));
}

static void wake(uint64_t fh)
{
	struct fuse_notify_poll_wakeup_out out = {objects[fh].poll_handle};
	if (objects[fh].polled)
		send_out(0, FUSE_NOTIFY_POLL, &out, sizeof(out));
}

static void do_write(const struct fuse_in_header *in, const struct fuse_write_in *arg)
{
	struct fuse_write_out out = {.size = sizeof(struct efd_mask)};
	struct efd_mask mask;
	if (arg->size < sizeof(mask)) {
		refuse(in, EINVAL);
		return;
	}
	memcpy(&mask, arg + 1, sizeof(mask));
	if (mask.events & ~(uint32_t)EVENTS) {
		refuse(in, EINVAL);
		return;
	}
	objects[arg->fh].mask = mask;
	wake(arg->fh);
	reply(in, &out, sizeof(out));
}

static void do_poll(const struct fuse_in_header *in, const struct fuse_poll_in *arg)
{
	struct fuse_poll_out out = {.revents = objects[arg->fh].mask.events};
	objects[arg->fh].poll_handle = arg->kh;
	objects[arg->fh].polled = 1;
	reply(in, &out, sizeof(out));
}

static void serve(const struct fuse_in_header *in)
{
	const void *arg = in + 1;
	switch (in->opcode) {
	case FUSE_INIT:
		do_init(in);
		break;
	case FUSE_LOOKUP:
		do_lookup(in, arg);
		break;
	case FUSE_GETATTR:
		do_getattr(in);
		break;
	case FUSE_OPEN:
		do_open(in);
		break;
	case FUSE_READ:
		do_read(in, arg);
		break;
	case FUSE_WRITE:
		do_write(in, arg);
		break;
	case FUSE_POLL:
		do_poll(in, arg);
		break;
	case FUSE_RELEASE:
		objects[((const struct fuse_release_in *)arg)->fh].used = 0;
		reply(in, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		refuse(in, ENOSYS);
	}
}

static void mount_at(const char *dir)
{
	char options[128];
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		fail("a mount namespace");
	dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (dev < 0)
		fail("/dev/fuse");
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=%d,group_id=%d", dev,
		(int)getuid(), (int)getgid());
	if (mount("maskfs", dir, "fuse", MS_NOSUID | MS_NODEV, options))
		fail("mount");
}

static pid_t start(const char *dir, char **command, const sigset_t *signals)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	pid_t pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigprocmask(SIG_SETMASK, signals, NULL);
	setenv("MASKFS", path, 1);
	execvp(command[0], command);
	fail(command[0]);
	exit(CANNOT);
}

static volatile sig_atomic_t ended;

static void on_end(int sig)
{
	(void)sig;
	ended = 1;
}

int main(int argc, char **argv)
{
	static union {
		struct fuse_in_header in;
		char room[BUFFER + 4096];
	} request;
	int status;
	if (argc < 3)
		return CANNOT;
	mount_at(argv[1]);
	sigset_t set, old;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &old);
	signal(SIGCHLD, on_end);
	pid_t pid = start(argv[1], argv + 2, &old);
	struct pollfd asked = {dev, POLLIN, 0};
	while (!ended) {
		if (ppoll(&asked, 1, NULL, &old) < 0)
			continue;
		ssize_t n = read(dev, &request, sizeof(request));
		if (n >= (ssize_t)sizeof(request.in))
			serve(&request.in);
		else if (errno != ENOENT && errno != EINTR && errno != EAGAIN)
			break;
	}
	if (waitpid(pid, &status, 0) != pid)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
