#include "core/plainset.h"

_Atomic uint64_t plainset_marks[PLAINSET_MARKS / PLAINSET_WORD];

void plainset_end(int epfd)
{
	uint64_t set = fdtable_epoll_id(epfd);
	_Atomic uint64_t *marks = &plainset_marks[set % PLAINSET_MARKS / PLAINSET_WORD];
	uint64_t mark = 1ull << set % PLAINSET_WORD;

	if (!(atomic_load(marks) & mark))
		atomic_fetch_or(marks, mark);
}
