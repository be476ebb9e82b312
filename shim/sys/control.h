/* The parts of a message besides its bytes: not every libc's CMSG_NXTHDR converts without a
 * warning. */
#ifndef EFDSHIM_SYS_CONTROL_H
#define EFDSHIM_SYS_CONTROL_H

#include <stddef.h>
#include <sys/socket.h>

/* The one behind `part`, or NULL. */
static inline struct cmsghdr *control_next(const struct msghdr *message, struct cmsghdr *part)
{
	char *end = (char *)message->msg_control + message->msg_controllen;
	size_t bytes = CMSG_ALIGN(part->cmsg_len), left = (size_t)(end - (char *)part);

	if (part->cmsg_len < sizeof(*part) || bytes > left || left - bytes < sizeof(*part))
		return NULL;
	return (struct cmsghdr *)(void *)((char *)part + bytes);
}

#endif
