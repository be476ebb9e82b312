/* What the library's own command says of the objects. */
#include "storm.h"

#include "shimcmd.h"

static const char *say(struct book *book, const char *verb)
{
	int status;
	const char *text = shimcmd_say(verb, &status);

	if (status)
		fault(book, SUPERVISOR, "efdshim %s: status %#x", verb, (unsigned)status);
	return text;
}

void command_ls(struct book *book, int objects)
{
	const char *text = say(book, "ls");

	if (shimcmd_lines(text) != objects)
		fault(book, SUPERVISOR, "efdshim ls shows %d objects, not %d: %.200s",
			shimcmd_lines(text), objects, text);
}

void command_gc(struct book *book)
{
	long freed;

	if (shimcmd_number(say(book, "gc")) < 0)
		fault(book, SUPERVISOR, "efdshim gc does not say how many it freed");
	freed = shimcmd_number(say(book, "gc"));
	if (freed)
		fault(book, SUPERVISOR, "a second efdshim gc frees %ld", freed);
}
