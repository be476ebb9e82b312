/* The crash-point test: a child is killed right after one step of the library's, named by a crash
 * point; the survivor that shares objects with it must get along. */
#ifndef CRASH_TEST_H
#define CRASH_TEST_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define COUNT_LIMIT (UINT64_MAX - 1)
#define CRASH_AT "EFDSHIM_CRASH_AT"
#define CRASH_LIST "EFDSHIM_CRASH_LIST"
#define LATE "LATE_" /* in front of these: for the second image */

/* What child and survivor share. */
enum shared {
	EMPTY, /* 0, watched for IN */
	THREE, /* 3, watched by nobody */
	SEMA,  /* a semaphore of 3, watched for IN */
	FULL,  /* at the limit, watched for OUT */
	SLEEP, /* 0, the only blocking one */
	SHARED,
};

/* In memory of its own, so that it tells how far a killed child got. */
struct journal {
	struct {
		int fd;		       /* the child's */
		_Atomic uint64_t now;  /* the count after the last step */
		_Atomic uint64_t next; /* and after the step at hand, if there is one */
	} object[SHARED];
	int memfd;
	int mail[2];		/* in [0] goes what the survivor takes from [1] */
	_Atomic uint32_t ready; /* the child waits for the survivor's hand */
};

enum { TIMES_MAX = 8, NAME_BYTES = 64, POINTS_MAX = 400, KILLED_INSIDE = 99, LITTER = 100 };

/* One run of a scene. */
struct run {
	struct journal *journal;
	int fd[SHARED];
	int level, edge; /* the survivor's epoll sets */
	pid_t child;
	int status;
	bool write_first;  /* what the survivor does first with each object: write, or read */
	pthread_t sleeper; /* a thread that reads SLEEP */
	_Atomic int sleeper_id;
	uint64_t taken; /* what it got */
	uint64_t added; /* to wake it */
	char why[256];	/* what went wrong, if anything */
};

/* What a child does. The hooks are the survivor's. */
struct scene {
	const char *name;
	void (*play)(struct journal *journal);
	void (*before)(struct run *run); /* the child starts */
	void (*during)(struct run *run); /* while it runs */
	void (*after)(struct run *run);	 /* it is dead */
	bool uneven; /* how often its points are passed depends on another process, too */
	bool part;   /* of other scenes; not run by itself */
	bool late;   /* to be killed in another image, which the child runs by exec */
};

extern const struct scene scenes[]; /* to one without a name */

/* play.c, play_fds.c: in the child. */
void play_nothing(struct journal *journal);
void play_create(struct journal *journal);
void play_create_close(struct journal *journal);
void play_fork(struct journal *journal);
void play_count(struct journal *journal);
void play_level(struct journal *journal);
void play_edge(struct journal *journal);
void play_limit(struct journal *journal);
void play_semaphore(struct journal *journal);
void play_poll(struct journal *journal);
void play_read_asleep(struct journal *journal);
void play_wake(struct journal *journal);
void play_dup_over(struct journal *journal);
void play_close_all(struct journal *journal);
void play_send(struct journal *journal);
void play_receive(struct journal *journal);
void play_exec(struct journal *journal);
void play_litter(struct journal *journal);
void play_reclaim(struct journal *journal);

/* stage.c: what the plays are made of. A failure ends the child. */
void stage_need(bool fine, const char *what);
int stage_eventfd(unsigned count, int flags);
/* Steps on a shared object, noted in the journal; the read expects the count to be known. */
void stage_write(struct journal *journal, enum shared which, uint64_t value);
void stage_read(struct journal *journal, enum shared which);
void stage_add(int fd, uint64_t value);
void stage_take(int fd, uint64_t value);
void stage_close(int fd);
/* A message with one eventfd that counts `value`. */
bool stage_send(int socket, int fd, uint64_t value);
/* The fd, or -1 where there is no message. */
int stage_receive(int socket, uint64_t *value);
void stage_reap(pid_t pid);

/* survivor.c */
void survivor_open(struct run *run);
/* The shared objects count rightly and show the truth after one more operation. */
void survivor_check(struct run *run);
void survivor_close(struct run *run);
/* New eventfds can be made, and work. */
void survivor_makes(struct run *run, int count);
/* Notes the first thing that is wrong. */
__attribute__((format(printf, 2, 3))) void wrong(struct run *run, const char *format, ...);

/* hooks.c */
void hook_litter(struct run *run);
void hook_write_to_sleeper(struct run *run);
void hook_sleep(struct run *run);
void hook_woken(struct run *run);
void hook_mail(struct run *run);
void hook_take_mail(struct run *run);

/* run.c: a whole run, where `variable` says to the library what to do at crash points. */
void run_scene(struct run *run, const struct scene *scene, const char *variable, const char *value);
bool run_was_killed(const struct run *run);
/* Starts a scene alone; variable and value may be NULL. */
pid_t run_start(const char *scene, int memfd, const char *variable, const char *value);
/* The child, and another image of it. */
_Noreturn void run_child(const char *scene, const char *memfd);
_Noreturn void run_image(const char *scene, struct journal *journal);
int run_end(pid_t pid);

/* points.c */
struct point {
	char name[NAME_BYTES];
	int reached;
};

struct points {
	struct point point[POINTS_MAX];
	int count;
};

/* What a scene passes; each point as often as it is passed in every one of several runs. */
void points_learn(struct points *points, struct run *run, const struct scene *scene);

/* tidy.c: what is left when everything is closed. */
void tidy_check(struct run *run);
/* How many files there are in the directory, -1 where it is not known. */
long tidy_entries(void);

void verdict(const char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
