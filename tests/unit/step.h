/* Breaks into a function at any of its instructions, by a signal handler of the same thread: at
 * every place where a handler, or another process, can come in between. The function runs under the
 * processor's trap flag. Elsewhere than on x86-64, and under valgrind, no step is ever taken. */
#ifndef STEP_H
#define STEP_H

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

struct step {
	void (*run)(void *arg);
	void (*intrude)(void *arg);
	void *arg;
	long at;    /* intrude after so many instructions, */
	long then;  /* and once more after so many; 0: not again */
	long taken; /* up to the last intrusion; the rest runs at full speed */
	bool own;   /* instructions of the C library are no places, and not counted */
};

/* The sanitizers make of each instruction several. */
#if defined(__SANITIZE_ADDRESS__)
enum { STEP_STRIDE = 7 };
#else
enum { STEP_STRIDE = 1 };
#endif

enum step_phase { STEP_STOPPED, STEP_STARTING, STEP_COUNTING };

static struct step *step_running;
static volatile sig_atomic_t step_phase;

#if defined(__x86_64__)
static inline void step_set_trap(ucontext_t *context, bool on)
{
	enum { TRAP_FLAG = 0x100 };
	greg_t *flags = &context->uc_mcontext.gregs[REG_EFL];

	*flags = on ? *flags | TRAP_FLAG : *flags & ~TRAP_FLAG;
}
#else
static inline void step_set_trap(ucontext_t *context, bool on)
{
	(void)context, (void)on;
}
#endif

extern char __executable_start, etext;

static inline bool step_is_place(const struct step *step, const ucontext_t *context)
{
#if defined(__x86_64__)
	uintptr_t at = (uintptr_t)context->uc_mcontext.gregs[REG_RIP];

	return !step->own || (at >= (uintptr_t)&__executable_start && at < (uintptr_t)&etext);
#else
	return step && context;
#endif
}

/* Counts an instruction; true while there are more to count. */
static inline bool step_count(struct step *step)
{
	step->taken++;
	if (step->taken == step->at || step->taken == step->then)
		step->intrude(step->arg);
	return step->taken < step->at || step->taken < step->then;
}

static inline void step_trapped(int sig, siginfo_t *info, void *context)
{
	int err = errno;

	(void)sig, (void)info;
	if (step_phase == STEP_COUNTING && step_is_place(step_running, context) &&
		!step_count(step_running))
		step_phase = STEP_STOPPED;
	step_set_trap(context, step_phase != STEP_STOPPED);
	errno = err;
}

/* Runs it once. */
static inline void step_run(struct step *step)
{
	struct sigaction old, trap = {.sa_sigaction = step_trapped, .sa_flags = SA_SIGINFO};

	step->taken = 0;
	step_running = step;
	sigaction(SIGTRAP, &trap, &old);
	step_phase = STEP_STARTING;
	raise(SIGTRAP);
	step_phase = STEP_COUNTING;
	step->run(step->arg);
	step_phase = STEP_STOPPED;
	__asm__ volatile("nop\n\tnop");
	sigaction(SIGTRAP, &old, NULL);
}

static inline void step_nothing(void *arg)
{
	(void)arg;
}

/* False where this machine takes no steps. */
static inline bool step_works(void)
{
	struct step step = {.at = LONG_MAX, .run = step_nothing};

	step_run(&step);
	if (!step.taken)
		cr_log_info("no single steps here: left out");
	return step.taken > 0;
}

/* Breaks in after one instruction, after two, and so on, until the function is through before that.
 * `prepare` comes before each run, `check` after it. */
static inline void step_each(struct step *step, void (*prepare)(void *), void (*check)(void *))
{
	if (!step_works())
		return;
	step->at = 1 - STEP_STRIDE;
	do {
		step->at += STEP_STRIDE;
		prepare(step->arg);
		step_run(step);
		check(step->arg);
	} while (step->taken >= step->at);
}

#endif
