/* Fds that other processes and images get. They may not know the shim, and may outlive this
 * process. */
#ifndef EFDSHIM_CORE_HANDOVER_H
#define EFDSHIM_CORE_HANDOVER_H

/* One fd was passed on. */
void handover_number(int fd);

/* Before a new image is started, here or in a child: all that it inherits. */
void handover_inherited(void);

/* The same, and the new image takes this one's place. */
void handover_new_image(void);

/* The first where fds that are closed on exec may come along too, duplicated in between. */
void handover_all(void);

/* No image took this one's place, or a child has it: what is the library's own stays behind again.
 */
void handover_stayed(void);

#endif
