/* asyncfd, asyncfd_fget, asyncfd_add_results. */
#include "efdshim/asyncfd.h"
#include "core/asyncring.h"
#include "core/config.h"
#include "core/efdfile.h"
#include <fcntl.h>

#include "interpose/interpose.h"
#include "sys/raw.h"

SHIM_EXPORT int asyncfd(int ufd, struct asyncfd_uring *ring);
SHIM_EXPORT struct efd_file *asyncfd_fget(int fd);
SHIM_EXPORT int asyncfd_add_results(
	struct efd_file *file, const struct asyncfd_result *results, int n);

/* The asyncfd behind an fd; 0, EBADF or EINVAL. */
static int find(int fd, struct fdref *ref)
{
	if (object_is(&fd, ref))
		return slot_is_ring(ref->object) ? 0 : EINVAL;
	return fd >= 0 && raw_fcntl(fd, F_GETFD, 0) >= 0 ? EINVAL : EBADF;
}

int asyncfd(int ufd, struct asyncfd_uring *ring)
{
	struct fdref ref;
	int err;

	config_load();
	if (ufd == -1)
		return (int)outcome_return(asyncring_create(ring));
	err = find(ufd, &ref);
	if (!err)
		err = asyncring_set(&ref, ring);
	return (int)outcome_return(err ? outcome_err(err) : outcome_ok(ufd));
}

struct efd_file *asyncfd_fget(int fd)
{
	struct efd_file *file = NULL;
	struct fdref ref;
	int err = find(fd, &ref);

	if (!err)
		file = efdfile_get(&ref, EFD_WEAK, &err);
	if (!file)
		errno = err;
	return file;
}

int asyncfd_add_results(struct efd_file *file, const struct asyncfd_result *results, int n)
{
	struct fdref ref;
	int stored = -EINVAL;

	if (n >= 0 && efdfile_ref(file, &ref))
		stored = asyncring_add(&ref, results, n);
	return (int)outcome_return(outcome_raw(stored));
}
