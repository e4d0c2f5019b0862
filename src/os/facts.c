#include "os/facts.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#define LINE_SIZE 8192 /* of mountinfo; the rest of a longer one looks like none */

int pd_os_owner(const char *path, struct pd_os_owner *ret_owner, struct pd_error *err)
{
	struct stat info;

	if (lstat(path, &info) != 0)
		return pd_error_system(err, errno, "cannot look at '%s'", path);
	*ret_owner = (struct pd_os_owner){ .user = info.st_uid,
					   .group = info.st_gid,
					   .mode = info.st_mode & 07777 };
	return 0;
}

unsigned pd_os_user(void)
{
	return geteuid();
}

/* ---- mounts ---- */

/* \040 and its like, in place. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; to++) {
		bool octal = from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
			     from[2] <= '7' && from[3] >= '0' && from[3] <= '7';

		*to = octal ? (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0')) : *from;
		from += octal ? 4 : 1;
	}
	*to = '\0';
}

/* The next word of the line; "" at its end. */
static char *next_word(char **line)
{
	char *word = *line + strspn(*line, " \n");
	size_t size = strcspn(word, " \n");

	*line = word[size] != '\0' ? word + size + 1 : word + size;
	word[size] = '\0';
	return word;
}

static bool lies_below(const char *path, const char *point)
{
	size_t size = strlen(point);

	if (strcmp(point, "/") == 0)
		return true;
	return strncmp(path, point, size) == 0 && (path[size] == '/' || path[size] == '\0');
}

static void take_device(const char *text, struct pd_os_mount *mount)
{
	char *end;

	mount->major = (unsigned)strtoul(text, &end, 10);
	mount->minor = *end == ':' ? (unsigned)strtoul(end + 1, NULL, 10) : 0;
}

/* One line of mountinfo (proc(5)): "36 35 98:0 / /mnt rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=continue". */
static void take_line(char *line, const char *path, struct pd_os_mount *best, size_t *best_size)
{
	struct pd_os_mount mount = { 0 };
	const char *device, *own, *word;
	char *point;

	(void)next_word(&line);
	(void)next_word(&line);
	device = next_word(&line);
	(void)next_word(&line);
	point = next_word(&line);
	own = next_word(&line);
	unescape(point);
	if (point[0] != '/' || !lies_below(path, point) || strlen(point) < *best_size)
		return;
	do
		word = next_word(&line);
	while (word[0] != '\0' && strcmp(word, "-") != 0);
	take_device(device, &mount);
	(void)snprintf(mount.point, sizeof mount.point, "%s", point);
	(void)snprintf(mount.type, sizeof mount.type, "%s", next_word(&line));
	(void)snprintf(mount.source, sizeof mount.source, "%s", next_word(&line));
	(void)snprintf(mount.options, sizeof mount.options, "%s,%s", own, next_word(&line));
	*best_size = strlen(point);
	*best = mount; /* a later mount on the same point lies over the earlier */
}

int pd_os_mount_of(const char *path, struct pd_os_mount *ret_mount, struct pd_error *err)
{
	char real[PATH_MAX], line[LINE_SIZE];
	size_t best_size = 0;
	FILE *file;

	if (realpath(path, real) == NULL)
		return pd_error_system(err, errno, "cannot find '%s'", path);
	file = fopen("/proc/self/mountinfo", "re");
	while (file != NULL && fgets(line, sizeof line, file) != NULL)
		take_line(line, real, ret_mount, &best_size);
	if (file != NULL)
		(void)fclose(file);
	if (best_size == 0)
		return pd_error_set(err, PD_NOT_FOUND, "the kernel does not tell what '%s' is mounted on",
				    path);
	return 0;
}

bool pd_os_mount_has(const struct pd_os_mount *mount, const char *option)
{
	size_t size = strlen(option);

	for (const char *at = mount->options; *at != '\0';) {
		size_t word = strcspn(at, ",");

		if (word == size && strncmp(at, option, size) == 0)
			return true;
		at += word + (at[word] == ',');
	}
	return false;
}

/* ---- the clock ---- */

enum pd_os_clock_state pd_os_clock_state(uint64_t *ret_error_us)
{
	struct timex timex = { 0 }; /* modes 0: nothing is set */
	int state = adjtimex(&timex);

	*ret_error_us = timex.maxerror > 0 ? (uint64_t)timex.maxerror : 0;
	if (state < 0)
		return PD_OS_CLOCK_UNKNOWN;
	return (timex.status & STA_UNSYNC) != 0 || state == TIME_ERROR ? PD_OS_CLOCK_UNSYNCED
								       : PD_OS_CLOCK_SYNCED;
}
