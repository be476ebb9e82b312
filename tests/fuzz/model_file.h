/* The model's files, shared by its parts. */
#ifndef FUZZ_MODEL_FILE_H
#define FUZZ_MODEL_FILE_H

#include "model.h"

enum mfile_kind { M_COUNTER, M_MASK, M_PIPE_R, M_PIPE_W, M_SET };
enum { PIPE_ROOM = 4096 };

/* Not EPOLLNVAL, nor what a file cannot show. */
enum { MASK_BITS = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLERR | EPOLLHUP };

struct mfile {
	enum mfile_kind kind;
	unsigned refs; /* fds of all processes; 0: unused */
	int flags;     /* O_ACCMODE, O_NONBLOCK ... */
	bool semaphore;
	uint64_t count;	    /* of a counter */
	uint32_t events;    /* of a mask */
	uint64_t data;	    /* of a mask */
	struct mfile *peer; /* the other end of a pipe while that is open */
	size_t held;	    /* bytes in the pipe: the end that reads has them */
	char bytes[PIPE_ROOM];
};

/* Returns NULL, with errno EBADF. */
struct mfile *mfile_of(const struct box *, int fd);
/* Returns NULL, with errno, where it is not open for what is wanted: O_RDONLY or O_WRONLY. */
struct mfile *mfile_open_for(const struct box *, int fd, int mode);
/* A new file under the lowest free number; NULL with the model lost. */
struct mfile *mfile_new(const struct box *, enum mfile_kind kind, int flags, bool cloexec, int *fd);

/* What poll() would say of it at this moment, asked without any effect. */
uint32_t mfile_level(const struct mfile *);
/* Tells the watches of f; key 0 concerns every one of them. */
void mfile_wake(const struct mfile *f, uint32_t key);

/* The sets forget a file that goes away, as a watched one or as a set. */
void mset_forget(const struct mfile *);
void mset_reset(void);
bool mset_ready(const struct mfile *set);
/* poll() of a set drops watches that have nothing to show. `surely`: nothing kept it from looking
 * at each. */
void mset_scanned(const struct mfile *set, bool surely);

/* What this model is to do wrong. */
extern enum fault model_fault;
/* What the other side may do wrong. */
bool model_may(enum allowance);

long model_fail(int err);
/* From here on the sequence is anybody's guess. */
void model_lose(void);
/* How many bytes can be read, or written, from p on. */
size_t model_reach(const struct box *, const void *p, bool writing);

#endif
