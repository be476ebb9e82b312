/* What few programs do with an eventfd, where the kernel may have none to ask. */
#include "older.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

static uint64_t value = 1;
static struct iovec whole = {&value, 8}, half = {&value, 4};

static void positions(int fd)
{
	SAY(lseek(fd, 5, SEEK_SET));
	SAY(lseek(fd, 0, SEEK_CUR));
	SAY(lseek(fd, 0, SEEK_END));
	SAY(pread(fd, &value, 8, 0));
	SAY(pwrite(fd, &value, 8, 0));
	SAY(pread(fd, &value, 8, -1));
	SAY(preadv(fd, &whole, 1, 0));
	SAY(pwritev(fd, &whole, 1, 0));
}

static void vectors(int fd)
{
	static const int flags[] = {
		0, RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_NOWAIT, RWF_APPEND, 1 << 30};

	for (unsigned i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		printf("flags %x\n", (unsigned)flags[i]);
		SAY(pwritev2(fd, &whole, 1, -1, flags[i]));
		SAY(preadv2(fd, &whole, 1, -1, flags[i]));
		SAY(preadv2(fd, &half, 1, -1, flags[i]));
	}
	SAY(readv(fd, &half, 1));
	SAY(writev(fd, &half, 1));
}

static void files(int fd)
{
	struct stat st;

	SAY(fsync(fd));
	SAY(fdatasync(fd));
	SAY(ftruncate(fd, 0));
	SAY(posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL));
	SAY(fstat(fd, &st));
	printf("    mode %o, %ld links, %ld bytes\n", st.st_mode, (long)st.st_nlink,
		(long)st.st_size);
	SAY(fchdir(fd));
	SAY((long)mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0));
	SAY(getsockopt(fd, SOL_SOCKET, SO_TYPE, &st, &(socklen_t){4}));
	SAY(openat(fd, "x", O_RDONLY));
}

static void commands(int fd)
{
	int n = 0;

	SAY(ioctl(fd, FIONREAD, &n));
	SAY(ioctl(fd, 0x12345, &n));
	SAY(ioctl(fd, FIOASYNC, &n));
	SAY(fcntl(fd, F_GETFL));
	SAY(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK));
	SAY(fcntl(fd, F_GETFL));
	SAY(fcntl(fd, F_SETFL, O_DIRECT | O_NONBLOCK));
	SAY(fcntl(fd, F_SETFL, O_NONBLOCK));
	SAY(fcntl(fd, F_GETFL));
	SAY(fcntl(fd, F_SETOWN, getpid()));
	SAY(fcntl(fd, F_GETOWN) == getpid());
	SAY(fcntl(fd, F_SETOWN, -getpgrp()));
	SAY(fcntl(fd, F_GETOWN) == -getpgrp());
	SAY(fcntl(fd, F_SETSIG, SIGUSR1));
	SAY(fcntl(fd, F_GETSIG));
	SAY(fcntl(fd, F_GETLK, &(struct flock){.l_type = F_RDLCK}));
	SAY(fcntl(fd, 9999, 0));
	SAY(fcntl(fd, F_NOTIFY, DN_ACCESS));
}

static void transfers(int fd)
{
	int ends[2], null = open("/dev/zero", O_RDWR);
	off_t at = 0;

	if (pipe(ends))
		return;
	SAY(write(ends[1], &value, 8));
	SAY(sendfile(fd, null, NULL, 8));
	SAY(sendfile(ends[1], fd, &at, 8));
	SAY(splice(ends[0], NULL, fd, NULL, 8, SPLICE_F_NONBLOCK));
	SAY(tee(fd, ends[1], 8, 0));
	SAY(vmsplice(fd, &whole, 1, 0));
	SAY(splice(fd, &at, ends[1], NULL, 8, 0));
	close(null);
	close(ends[0]);
	close(ends[1]);
}

static void show_file(int fd, const char *directory)
{
	char path[64], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/%s/%d", directory, fd);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "ino:", 4) && strncmp(line, "mnt_id:", 7) &&
			strncmp(line, "eventfd-id:", 11))
			printf("    %s", line);
	}
	if (file && !fseek(file, 0, SEEK_SET) && fgets(line, sizeof(line), file))
		printf("    again: %s", line);
	SAY(file ? fclose(file) : -1);
}

static void in_proc(int fd)
{
	char path[64], target[64] = "";
	struct stat st;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	SAY(readlink(path, target, sizeof(target)));
	printf("    %s\n", target);
	SAY(open(path, O_RDWR));
	SAY(stat(path, &st));
	printf("    mode %o\n", st.st_mode);
	show_file(fd, "fdinfo");
}

static void addresses(int fd)
{
	char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	SAY(write(fd, &value, 8));
	SAY(read(fd, page, 8));
	SAY(read(fd, &value, 7));
	SAY(read(fd, (void *)-4096L, 8));
	SAY(write(fd, page, 8));
	SAY(write(fd, &value, 16));
	SAY(read(fd, &value, 8));
	SAY(read(fd, &value, 8));
	SAY(eventfd_write(fd, UINT64_MAX));
}

int main(void)
{
	int fd = eventfd(0, EFD_NONBLOCK), semaphore = eventfd(3, EFD_NONBLOCK | EFD_SEMAPHORE);

	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	positions(fd);
	vectors(fd);
	files(fd);
	commands(fd);
	transfers(fd);
	in_proc(fd);
	in_proc(semaphore);
	addresses(fd);
	return 0;
}
