/* The process as a service: what its manager and its terminal expect of it. There is one process, so this belongs to no
 * machine. Nothing here needs systemd: without it there is nobody to tell, and that is no error.
 *
 * Sources: sd_notify(3), sd_watchdog_enabled(3), sd-daemon(3), systemd.exec(5) (JOURNAL_STREAM). */
#ifndef PD_OS_SERVICE_H
#define PD_OS_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Where standard error goes. */
enum pd_os_stream {
	PD_OS_STREAM_OTHER, /* a file, a pipe */
	PD_OS_STREAM_TERMINAL,
	PD_OS_STREAM_JOURNAL, /* lines may begin with their priority: "<4>" */
};
enum pd_os_stream pd_os_standard_error(void);
/* As far as the system takes it at once; the rest is lost: there is nobody to tell, and nobody waits for a reader. */
void pd_os_write_standard_error(const void *data, size_t size);

/* A socket to the service manager. NULL: there is none to tell anything, or no memory; both are fine below. */
struct pd_os_notify;
struct pd_os_notify *pd_os_notify_new(void);
void pd_os_notify_free(struct pd_os_notify *notify);
/* Tell it, in the form "READY=1\nSTATUS=…". Never waits: a manager that does not listen misses it. */
void pd_os_notify_send(const struct pd_os_notify *notify, const char *text);
/* How often it wants to hear WATCHDOG=1, at least; 0: never. */
uint64_t pd_os_notify_watchdog_us(const struct pd_os_notify *notify);

/* What is created from here on is for this user alone. */
void pd_os_private_files(void);
/* No core dumps, and no debugger of the same user: what is in memory stays there. */
PD_MUST_CHECK int pd_os_no_core_dumps(struct pd_error *err);

#endif
