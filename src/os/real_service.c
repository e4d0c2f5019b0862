#include "os/service.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/memory.h"

/* ---- standard error ---- */

/* JOURNAL_STREAM is "device:inode" of what the journal has given us; we may have been given something else since. */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat info;
	char *colon;

	if (stream == NULL || fstat(STDERR_FILENO, &info) != 0)
		return false;
	return strtoull(stream, &colon, 10) == info.st_dev && *colon == ':' &&
	       strtoull(colon + 1, NULL, 10) == info.st_ino;
}

enum pd_os_stream pd_os_standard_error(void)
{
	if (isatty(STDERR_FILENO) == 1)
		return PD_OS_STREAM_TERMINAL;
	return is_journal() ? PD_OS_STREAM_JOURNAL : PD_OS_STREAM_OTHER;
}

void pd_os_write_standard_error(const void *data, size_t size)
{
	const char *at = data;

	while (size > 0) {
		/* A pipe that can take anything takes this much without waiting for its reader, who may have stopped. */
		size_t part = size < PIPE_BUF ? size : PIPE_BUF;
		struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };
		ssize_t gone;

		if (poll(&out, 1, 0) == 0)
			return;
		gone = write(STDERR_FILENO, at, part);
		if (gone < 0 && errno == EINTR)
			continue;
		if (gone <= 0)
			return;
		at += gone;
		size -= (size_t)gone;
	}
}

/* ---- the service manager ---- */

struct pd_os_notify {
	int descriptor;
	struct sockaddr_un address;
	socklen_t address_size;
	uint64_t watchdog_us;
};

/* WATCHDOG_PID is there when the variables are meant for one process. */
static uint64_t read_watchdog(void)
{
	const char *interval = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

	if (interval == NULL || (pid != NULL && strtoll(pid, NULL, 10) != (long long)getpid()))
		return 0;
	return strtoull(interval, NULL, 10);
}

struct pd_os_notify *pd_os_notify_new(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct pd_os_notify *notify;
	size_t size = path != NULL ? strlen(path) : 0;

	/* "/path", or "@name" in the abstract space. */
	if (size < 2 || (path[0] != '/' && path[0] != '@') || size >= sizeof notify->address.sun_path)
		return NULL;
	notify = pd_calloc(1, sizeof *notify);
	if (notify == NULL)
		return NULL;
	notify->address.sun_family = AF_UNIX;
	memcpy(notify->address.sun_path, path, size);
	if (path[0] == '@')
		notify->address.sun_path[0] = '\0';
	notify->address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size +
					   (path[0] == '/' ? 1 : 0));
	notify->descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (notify->descriptor < 0) {
		pd_free(notify);
		return NULL;
	}
	notify->watchdog_us = read_watchdog();
	return notify;
}

void pd_os_notify_free(struct pd_os_notify *notify)
{
	if (notify == NULL)
		return;
	(void)close(notify->descriptor);
	pd_free(notify);
}

void pd_os_notify_send(const struct pd_os_notify *notify, const char *text)
{
	if (notify != NULL)
		(void)sendto(notify->descriptor, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
			     (const struct sockaddr *)&notify->address, notify->address_size);
}

uint64_t pd_os_notify_watchdog_us(const struct pd_os_notify *notify)
{
	return notify != NULL ? notify->watchdog_us : 0;
}

/* ---- what others may see ---- */

void pd_os_private_files(void)
{
	(void)umask(077);
}

int pd_os_no_core_dumps(struct pd_error *err)
{
	struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0)
		return pd_error_system(err, errno, "cannot switch core dumps off");
	return 0;
}
