/* What an operation on a fake fd answers: a value, or an errno. errno itself is set only at the
 * boundary. */
#ifndef EFDSHIM_CORE_OUTCOME_H
#define EFDSHIM_CORE_OUTCOME_H

struct outcome {
	long value; /* what the call returns where err is 0 */
	int err;    /* 0 or an errno value */
};

static inline struct outcome outcome_ok(long value)
{
	return (struct outcome){.value = value, .err = 0};
}

static inline struct outcome outcome_err(int err)
{
	return (struct outcome){.value = -1, .err = err};
}

/* From a raw system call's answer. */
static inline struct outcome outcome_raw(long ret)
{
	return ret < 0 ? outcome_err((int)-ret) : outcome_ok(ret);
}

#endif
