/* Uses an eventfd while the program is being relocated: from the resolver of an indirect function.
 */
#include "prog.h"

#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int made = -1;
static uint64_t taken;

static int plain_answer(void)
{
	return 42;
}

/* The program's references to libc may not be bound yet, except those it makes by calls. */
static int (*resolve(void))(void)
{
	uint64_t value = 5;

	made = eventfd(2, EFD_NONBLOCK);
	if (write(made, &value, sizeof(value)) == sizeof(value) &&
		read(made, &value, sizeof(value)) == sizeof(value))
		taken = value;
	return plain_answer;
}

int answer(void) __attribute__((ifunc("resolve")));

int main(void)
{
	require(answer() == 42, "the indirect function");
	require(made >= 0 && taken == 7, "an eventfd in a resolver");
	prog_require_served(made);
	prog_add(made, 1);
	require(prog_take(made) == 1 && !close(made), "the eventfd afterwards");
	return 0;
}
