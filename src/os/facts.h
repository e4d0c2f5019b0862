/* What the real machine says of a path and of itself: for who examines it. Nothing of this is simulated; nothing that keeps data
 * depends on it. */
#ifndef PD_OS_FACTS_H
#define PD_OS_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Whose a file is, and who else may do what: not of what a symbolic link points to. */
struct pd_os_owner {
	unsigned user, group;
	unsigned mode; /* the lowest 12 bits: 0700, … */
};
PD_MUST_CHECK int pd_os_owner(const char *path, struct pd_os_owner *ret_owner, struct pd_error *err);
/* This process's user. */
unsigned pd_os_user(void);

/* The file system that a path, which is there, lies on. */
struct pd_os_mount {
	char type[32];         /* "ext4" */
	char source[256];      /* "/dev/sda1" */
	char point[256];       /* where it is mounted */
	char options[512];     /* of the mount and of the file system, separated by commas */
	unsigned major, minor; /* its device */
};
/* PD_NOT_FOUND: the path is not there, or the kernel does not tell. */
PD_MUST_CHECK int pd_os_mount_of(const char *path, struct pd_os_mount *ret_mount, struct pd_error *err);
/* Is this word among the options: "nobarrier", "data=writeback"? */
bool pd_os_mount_has(const struct pd_os_mount *mount, const char *option);

enum pd_os_clock_state { PD_OS_CLOCK_SYNCED, PD_OS_CLOCK_UNSYNCED, PD_OS_CLOCK_UNKNOWN };
/* Does something keep the real-time clock right? *ret_error_us: how far off it may be, as the kernel estimates. */
enum pd_os_clock_state pd_os_clock_state(uint64_t *ret_error_us);

#endif
