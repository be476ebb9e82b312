/* fds sent over unix sockets. Each seat has a mailbox, which outlives its member: what a killed one
 * did not take is there for its successor, and nowhere else. */
#define _GNU_SOURCE
#include "storm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct letter {
	uint64_t value; /* the count of an eventfd that nobody else has */
	int32_t count;
	unsigned char index[MAIL_FDS];
};

struct envelope {
	struct msghdr header;
	struct iovec part;
	struct letter letter;
	union {
		char bytes[CMSG_SPACE(MAIL_FDS * sizeof(int))];
		struct cmsghdr aligned;
	} control;
};

static void seal(struct envelope *e, int fds)
{
	memset(e, 0, sizeof(*e));
	e->part = (struct iovec){&e->letter, sizeof(e->letter)};
	e->header.msg_iov = &e->part;
	e->header.msg_iovlen = 1;
	e->header.msg_control = e->control.bytes;
	e->header.msg_controllen = CMSG_SPACE((size_t)fds * sizeof(int));
}

static long send_letter(struct msghdr *header, int socket, bool many)
{
	struct mmsghdr one = {.msg_hdr = *header};

	if (!many)
		return sendmsg(socket, header, MSG_DONTWAIT);
	return sendmmsg(socket, &one, 1, MSG_DONTWAIT) == 1 ? (long)one.msg_len : -1;
}

bool mail_send(struct book *book, unsigned to, const unsigned *index, const int *fd, int count,
	uint64_t value)
{
	struct envelope e;
	struct cmsghdr *part;
	long ret;

	seal(&e, count);
	e.letter.count = count;
	e.letter.value = value;
	for (int i = 0; i < count; i++)
		e.letter.index[i] = (unsigned char)index[i];
	part = CMSG_FIRSTHDR(&e.header);
	part->cmsg_level = SOL_SOCKET;
	part->cmsg_type = SCM_RIGHTS;
	part->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
	memcpy(CMSG_DATA(part), fd, (size_t)count * sizeof(int));
	ret = send_letter(&e.header, book->mailbox[to][0], count % 2 == 0);
	if (ret < 0 && errno != EAGAIN && errno != ETOOMANYREFS)
		fault(book, SUPERVISOR, "sendmsg to member %u: errno %d", to, errno);
	return ret >= 0;
}

/* The fds of one message: how many, -1 for no message. */
static int receive(struct book *book, unsigned of, struct letter *letter, int *fd, int flags)
{
	struct envelope e;
	struct cmsghdr *part;
	long ret;
	int count = 0;

	seal(&e, MAIL_FDS);
	ret = recvmsg(book->mailbox[of][1], &e.header, MSG_DONTWAIT | flags);
	if (ret < 0 && errno == EAGAIN)
		return -1;
	part = CMSG_FIRSTHDR(&e.header);
	if (part && part->cmsg_type == SCM_RIGHTS)
		count = (int)((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	if (ret != sizeof(struct letter) || e.letter.count != count ||
		(e.header.msg_flags & (MSG_CTRUNC | MSG_TRUNC))) {
		fault(book, of, "received %ld bytes and %d of %d fds, flags %#x, errno %d", ret,
			count, (int)e.letter.count, (unsigned)e.header.msg_flags, errno);
		return -1;
	}
	*letter = e.letter;
	memcpy(fd, CMSG_DATA(part), (size_t)count * sizeof(int));
	return count;
}

/* Nobody but the message had it: it must count what its maker said. */
static void check_own(struct book *book, unsigned who, int fd, uint64_t expected)
{
	uint64_t value = 0;
	long ret = read(fd, &value, sizeof(value));

	if (ret != sizeof(value) || value != expected)
		fault(book, who, "a received eventfd has %lu, not %lu (%ld, errno %d)",
			(unsigned long)value, (unsigned long)expected, ret, errno);
}

static void close_received(struct book *book, unsigned who, int fd)
{
	if (close(fd))
		fault(book, who, "close of a received fd: errno %d", errno);
}

static void take_one(struct member *m, unsigned index, int fd, uint64_t value)
{
	if (index >= FDS) {
		check_own(m->book, m->number, fd, value);
		close_received(m->book, m->number, fd);
		return;
	}
	if (m->seat->fd[index] >= 0 && chance(&m->random, 2)) {
		close_received(m->book, m->number, fd);
		return;
	}
	member_drop(m, index);
	m->seat->fd[index] = fd;
	atomic_fetch_and(&m->seat->wants, ~(1ull << index));
}

void mail_take(struct member *m)
{
	struct letter letter;
	int fd[MAIL_FDS], count;
	bool cloexec = chance(&m->random, 2);

	if (chance(&m->random, 16)) {
		count = receive(m->book, m->number, &letter, fd, MSG_PEEK);
		for (int i = 0; i < count; i++)
			close_received(m->book, m->number, fd[i]);
	}
	count = receive(m->book, m->number, &letter, fd, cloexec ? MSG_CMSG_CLOEXEC : 0);
	for (int i = 0; i < count; i++) {
		if (cloexec && (fcntl(fd[i], F_GETFD) != FD_CLOEXEC || fcntl(fd[i], F_SETFD, 0)))
			fault(m->book, m->number, "a received fd is not close-on-exec");
		take_one(m, letter.index[i], fd[i], letter.value);
	}
}

void mail_empty(struct book *book, unsigned of)
{
	struct letter letter;
	int fd[MAIL_FDS], count;

	while ((count = receive(book, of, &letter, fd, 0)) >= 0) {
		for (int i = 0; i < count; i++) {
			if (letter.index[i] >= FDS)
				check_own(book, of, fd[i], letter.value);
			close_received(book, of, fd[i]);
		}
	}
}

/* Sends up to `most` of the fds that are both wanted and here. */
static void give(struct member *m, unsigned to, uint64_t wanted, int most)
{
	unsigned index[MAIL_FDS], start = random_below(&m->random, FDS);
	int fd[MAIL_FDS], count = 0;

	for (unsigned i = 0; i < FDS && count < most; i++) {
		unsigned one = (start + i) % FDS;

		if (!(wanted >> one & 1) || m->seat->fd[one] < 0)
			continue;
		index[count] = one;
		fd[count++] = m->seat->fd[one];
	}
	if (count)
		mail_send(m->book, to, index, fd, count, 0);
}

void step_gift(struct member *m)
{
	give(m, random_below(&m->random, MEMBERS), ~0ull, 1 + (int)random_below(&m->random, 3));
}

void step_help(struct member *m)
{
	unsigned to = random_below(&m->random, MEMBERS);
	uint64_t wanted = m->book->seats[to].wants;

	if (wanted)
		give(m, to, wanted, MAIL_FDS);
}
