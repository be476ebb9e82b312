/* eventfd_fget, efd_fput, eventfd_signal. */
#include "core/counterfd.h"
#include "core/efdfile.h"
#include "core/signalwatch.h"
#include "efdshim/eventfd.h"
#include <fcntl.h>

#include "interpose/interpose.h"
#include "sys/raw.h"

SHIM_EXPORT struct efd_file *eventfd_fget(int fd);
SHIM_EXPORT void efd_fput(struct efd_file *file);
SHIM_EXPORT int eventfd_signal(struct efd_file *file, int n);

struct efd_file *eventfd_fget(int fd)
{
	struct efd_file *file = NULL;
	struct fdref ref;
	int err;

	if (!object_is(&fd, &ref))
		err = fd >= 0 && raw_fcntl(fd, F_GETFD, 0) >= 0 ? EINVAL : EBADF;
	else if (slot_kind(ref.object) != KIND_COUNTER)
		err = EINVAL;
	else
		file = efdfile_get(&ref, EFD_STRONG, &err);
	if (file)
		signalwatch_begin(&ref);
	else
		errno = err;
	return file;
}

void efd_fput(struct efd_file *file)
{
	int saved = errno;

	efdfile_put(file);
	errno = saved;
}

int eventfd_signal(struct efd_file *file, int n)
{
	struct fdref ref;
	uint64_t added;
	int err;

	if (n < 0 || !efdfile_ref(file, &ref) || slot_kind(ref.object) != KIND_COUNTER)
		return (int)outcome_return(outcome_err(EINVAL));
	err = counterfd_signal(&ref, (uint64_t)n, &added);
	return (int)outcome_return(err ? outcome_err(err) : outcome_ok((long)added));
}
