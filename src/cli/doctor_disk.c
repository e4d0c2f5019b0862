/* The doctor and the disk: what kind of file system it is, whether a sync means what it says, and how much room there is. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/doctor_private.h"
#include "os/facts.h"

#define MIB         (1024.0 * 1024.0)
#define PATH_SIZE   1300
#define BLOCK       4096u
#define FILE_BYTES  (256u * 1024)
#define SYNCS_MAX   100u
#define SYNCS_NS    UINT64_C(2000000000) /* so long at most, however slow it is */
#define TOO_FAST_NS UINT64_C(10000)      /* no disk that keeps anything without power answers sooner */
#define SLOW_NS     UINT64_C(20000000)
#define SEGMENT     (UINT64_C(64) << 20)

/* ---- the file system ---- */

struct kind {
	const char *type;
	enum pd_doctor_severity severity;
	const char *text, *fix;
};

#define ON_DISK "name a directory on a disk of this machine with --data"

static const struct kind kinds[] = {
	{ "ext4", PD_DOCTOR_OK, "a file system that keeps its promises", NULL },
	{ "xfs", PD_DOCTOR_OK, "a file system that keeps its promises", NULL },
	{ "btrfs", PD_DOCTOR_OK, "it keeps its promises; synced writes are slower on it than on ext4 or xfs",
	  NULL },
	{ "zfs", PD_DOCTOR_OK, "it keeps its promises, unless sync=disabled is set for it", NULL },
	{ "f2fs", PD_DOCTOR_NOTE, "it keeps its promises with fsync_mode=strict or posix", NULL },
	{ "tmpfs", PD_DOCTOR_DANGER,
	  "it is memory: all is gone when the machine restarts, and no sync changes that", ON_DISK },
	{ "ramfs", PD_DOCTOR_DANGER,
	  "it is memory: all is gone when the machine restarts, and no sync changes that", ON_DISK },
	{ "overlay", PD_DOCTOR_WARNING,
	  "it is a container's own layer: the data go when the container is removed",
	  "mount a volume, and name it with --data" },
	{ "nfs", PD_DOCTOR_WARNING,
	  "a file system on the network: locks and syncs are as good as the server's settings",
	  ON_DISK "; if it has to be: export it with sync, mount it with hard, and let one machine use it" },
	{ "nfs4", PD_DOCTOR_WARNING,
	  "a file system on the network: locks and syncs are as good as the server's settings",
	  ON_DISK "; if it has to be: export it with sync, mount it with hard, and let one machine use it" },
	{ "cifs", PD_DOCTOR_DANGER,
	  "a file system on the network on which nobody vouches for syncs and locks", ON_DISK },
	{ "smb3", PD_DOCTOR_DANGER,
	  "a file system on the network on which nobody vouches for syncs and locks", ON_DISK },
	{ "9p", PD_DOCTOR_WARNING,
	  "a directory of a host machine: whether syncs reach its disk is the host's affair",
	  "give the machine a disk of its own, and name a directory on it with --data" },
	{ "virtiofs", PD_DOCTOR_WARNING,
	  "a directory of a host machine: whether syncs reach its disk is the host's affair",
	  "give the machine a disk of its own, and name a directory on it with --data" },
	{ "vfat", PD_DOCTOR_DANGER, "it has no journal and no permissions", ON_DISK " with ext4 or xfs" },
	{ "exfat", PD_DOCTOR_DANGER, "it has no journal and no permissions", ON_DISK " with ext4 or xfs" },
};

static void check_kind(struct pd_doctor *doctor, const struct pd_os_mount *mount)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		if (strcmp(kinds[i].type, mount->type) != 0)
			continue;
		pd_doctor_found(doctor, kinds[i].severity, "disk.filesystem", "%s is on %s (%s): %s",
				doctor->place, mount->type, mount->source, kinds[i].text);
		if (kinds[i].fix != NULL)
			pd_doctor_fix(doctor, "%s", kinds[i].fix);
		return;
	}
	if (strncmp(mount->type, "fuse", 4) == 0) {
		pd_doctor_found(doctor, PD_DOCTOR_WARNING, "disk.filesystem",
				"%s is on %s (%s): a program stands between, and its syncs are worth what it "
				"makes of them",
				doctor->place, mount->type, mount->source);
		pd_doctor_fix(doctor, ON_DISK);
		return;
	}
	pd_doctor_found(doctor, PD_DOCTOR_NOTE, "disk.filesystem",
			"%s is on %s (%s): nothing is known of it here", doctor->place, mount->type,
			mount->source);
	pd_doctor_fix(doctor, "ext4 and xfs are known to keep what was synced");
}

static void check_options(struct pd_doctor *doctor, const struct pd_os_mount *mount)
{
	static const char *const lying[] = { "nobarrier", "barrier=0", "fsync_mode=nobarrier" };

	for (size_t i = 0; i < sizeof lying / sizeof *lying; i++)
		if (pd_os_mount_has(mount, lying[i])) {
			pd_doctor_found(doctor, PD_DOCTOR_DANGER, "disk.options",
					"%s is mounted with %s: a power cut takes what was synced, unless "
					"every cache on the "
					"way has a battery",
					mount->point, lying[i]);
			pd_doctor_fix(doctor, "take %s out of /etc/fstab, then mount -o remount %s", lying[i],
				      mount->point);
		}
	if (pd_os_mount_has(mount, "data=writeback")) {
		pd_doctor_found(doctor, PD_DOCTOR_WARNING, "disk.options",
				"%s is mounted with data=writeback: after a power cut, files that were "
				"growing may hold old "
				"bytes. The log notices, other files need not",
				mount->point);
		pd_doctor_fix(doctor, "mount it with data=ordered");
	}
	if (pd_os_mount_has(mount, "ro")) {
		pd_doctor_found(
			doctor, PD_DOCTOR_DANGER, "disk.options",
			"%s is mounted read-only; a file system that has met an error becomes so by itself",
			mount->point);
		pd_doctor_fix(doctor, "look into dmesg for errors of %s; then mount -o remount,rw %s",
			      mount->source, mount->point);
	}
}

/* ---- syncs ---- */

static int by_size(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

/* Write blocks that are there already, as the log does, each synced. */
static int measure(struct pd_doctor *doctor, struct pd_os_file *file, uint8_t *block, uint64_t *times,
		   unsigned *ret_count, struct pd_error *err)
{
	uint64_t began = pd_os_monotonic_ns(doctor->os);
	unsigned count = 0;
	int result = 0;

	while (result == 0 && count < SYNCS_MAX && pd_os_monotonic_ns(doctor->os) - began < SYNCS_NS) {
		uint64_t before = pd_os_monotonic_ns(doctor->os);

		pd_os_random(doctor->os, block, 64);
		result = pd_os_write(file, block, BLOCK, (uint64_t)(count % (FILE_BYTES / BLOCK)) * BLOCK,
				     err);
		times[count++] = pd_os_monotonic_ns(doctor->os) - before;
	}
	if (count > 0)
		qsort(times, count, sizeof *times, by_size);
	*ret_count = count;
	return result;
}

static int fill(struct pd_os_file *file, const uint8_t *block, struct pd_error *err)
{
	int result = 0;

	for (uint64_t at = 0; at < FILE_BYTES && result == 0; at += BLOCK)
		result = pd_os_write(file, block, BLOCK, at, err);
	return result == 0 ? pd_os_datasync(file, err) : result;
}

/* Does the kernel think that the device has a cache that forgets? The file of a partition's disk is one directory up. */
static bool cache_mode(const struct pd_doctor *doctor, const struct pd_os_mount *mount, char *text,
		       size_t size)
{
	char path[128];

	(void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u/queue/write_cache", mount->major,
		       mount->minor);
	if (pd_doctor_read(doctor, path, text, size))
		return true;
	(void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u/../queue/write_cache", mount->major,
		       mount->minor);
	return pd_doctor_read(doctor, path, text, size);
}

static void judge(struct pd_doctor *doctor, const uint64_t *times, unsigned count, bool direct,
		  const struct pd_os_mount *mount)
{
	uint64_t p50 = times[count / 2], p99 = times[(uint64_t)count * 99 / 100];
	char cache[32];

	pd_doctor_found(doctor, p50 > SLOW_NS ? PD_DOCTOR_WARNING : PD_DOCTOR_OK, "disk.sync",
			"a synced write of 4 KiB takes %.3f ms (p50), %.3f ms (p99), of %u%s",
			(double)p50 / 1e6, (double)p99 / 1e6, count,
			direct ? "" : "; not direct: this file system refuses that");
	if (p50 > SLOW_NS)
		pd_doctor_fix(
			doctor,
			"each strict write waits that long: a faster disk, or many clients that share one "
			"write; weaker levels where losing the last moments is fine (PD.DURABILITY)");
	if (p50 < TOO_FAST_NS) {
		pd_doctor_found(doctor, PD_DOCTOR_DANGER, "disk.honesty",
				"synced writes that take %.1f us come from no disk: something on the way "
				"acknowledges what it "
				"does not keep",
				(double)p50 / 1e3);
		pd_doctor_fix(doctor,
			      "look for tmpfs, a host that ignores flushes (cache=unsafe), or eatmydata");
		return;
	}
	if (mount != NULL && cache_mode(doctor, mount, cache, sizeof cache))
		pd_doctor_found(doctor, PD_DOCTOR_OK, "disk.honesty",
				strcmp(cache, "write back") == 0
					? "the device has a cache that forgets, and the kernel flushes it "
					  "with each sync (%s)"
					: "the device says that it has no cache that forgets (%s): true of "
					  "disks with a battery, "
					  "and of machines that lie; only pulling the plug shows it",
				cache);
}

static void check_syncs(struct pd_doctor *doctor, const struct pd_os_mount *mount)
{
	uint8_t *block = pd_malloc_aligned(BLOCK, BLOCK);
	uint64_t times[SYNCS_MAX], tag;
	struct pd_os_file *file = NULL;
	struct pd_error err = { 0 };
	char path[PATH_SIZE];
	bool direct = true;
	unsigned count = 0;
	int result;

	if (block == NULL)
		return;
	memset(block, 0, BLOCK);
	pd_os_random(doctor->os, &tag, sizeof tag);
	(void)snprintf(path, sizeof path, "%s/.perdure-doctor-%016" PRIx64, doctor->place, tag);
	result = pd_os_open(doctor->os, path,
			    PD_OS_WRITE | PD_OS_CREATE | PD_OS_EXCLUSIVE | PD_OS_SYNCED | PD_OS_DIRECT, &file,
			    &err);
	if (result == PD_NOT_SUPPORTED) {
		direct = false;
		result = pd_os_open(doctor->os, path,
				    PD_OS_WRITE | PD_OS_CREATE | PD_OS_EXCLUSIVE | PD_OS_SYNCED, &file, &err);
	}
	/* Its name goes at once: nothing stays, whatever happens to this process. */
	if (result == 0)
		result = pd_os_unlink(doctor->os, path, &err);
	if (result == 0)
		result = fill(file, block, &err);
	if (result == 0)
		result = measure(doctor, file, block, times, &count, &err);
	pd_os_close(file);
	pd_free(block);
	if (result == 0) {
		judge(doctor, times, count, direct, mount);
		return;
	}
	pd_doctor_found(doctor, PD_DOCTOR_DANGER, "disk.sync", "%s", err.text);
	pd_doctor_fix(doctor,
		      result == PD_NO_SPACE ? "make room: a server needs two log segments of 64 MiB at least"
		      : result == PD_PERMISSION
			      ? "run this, and the server, as the user whose directory it is"
		      : result == PD_READ_ONLY ? "mount it read-write, or name another directory with --data"
					       : "look into dmesg: the disk under the directory fails");
}

/* ---- room ---- */

/* What the files of a directory take. */
static uint64_t bytes_in(struct pd_doctor *doctor, const char *path)
{
	struct pd_os_names names;
	uint64_t bytes = 0;

	if (pd_os_list(doctor->os, path, &names, NULL) != 0)
		return 0;
	for (size_t i = 0; i < names.count; i++) {
		struct pd_os_file_info info;
		char *file = pd_asprintf("%s/%s", path, names.names[i]);

		if (file != NULL && pd_os_info(doctor->os, file, &info, NULL) == 0 && !info.is_directory)
			bytes += info.size;
		pd_free(file);
	}
	pd_os_names_done(&names);
	return bytes;
}

static void check_room(struct pd_doctor *doctor)
{
	uint64_t wanted = doctor->retention_bytes + doctor->retention_bytes / 8 + 2 * SEGMENT, room, used;
	char log[PATH_SIZE];

	if (pd_os_disk_free(doctor->os, doctor->place, &room, NULL) != 0)
		return;
	(void)snprintf(log, sizeof log, "%s/log/0000", doctor->data);
	used = doctor->is_there ? bytes_in(doctor, log) : 0;
	if (room < 2 * SEGMENT && used == 0) {
		pd_doctor_found(doctor, PD_DOCTOR_DANGER, "disk.room",
				"%.0f MiB are free: too little for a server to begin", (double)room / MIB);
		pd_doctor_fix(doctor,
			      "make room, or begin with less: --segment-size 1MiB --retention-size 64MiB");
	} else if (room < SEGMENT) {
		pd_doctor_found(doctor, PD_DOCTOR_DANGER, "disk.room",
				"%.0f MiB are free: writes are refused with -DISKFULL when the log needs its "
				"next file",
				(double)room / MIB);
		pd_doctor_fix(doctor,
			      "make room; 'perdure log compact' drops what retention does not ask for");
	} else if (doctor->retention_bytes > 0 && used + room < wanted) {
		pd_doctor_found(doctor, PD_DOCTOR_WARNING, "disk.room",
				"%.0f MiB are free and the log has %.0f MiB, but it may take %.0f MiB by "
				"itself (retention of "
				"%.0f MiB)",
				(double)room / MIB, (double)used / MIB, (double)wanted / MIB,
				(double)doctor->retention_bytes / MIB);
		pd_doctor_fix(doctor,
			      "make room, or let the server keep less of the past: --retention-size %.0fMiB",
			      (double)((used + room) / 3) / MIB);
	} else {
		pd_doctor_found(doctor, PD_DOCTOR_OK, "disk.room", "%.0f MiB are free, the log has %.0f MiB",
				(double)room / MIB, (double)used / MIB);
	}
}

void pd_doctor_disk(struct pd_doctor *doctor)
{
	struct pd_os_mount mount;
	struct pd_error err;
	bool known = pd_os_mount_of(doctor->place, &mount, &err) == 0;

	if (known) {
		check_kind(doctor, &mount);
		check_options(doctor, &mount);
	} else {
		pd_doctor_found(doctor, PD_DOCTOR_NOTE, "disk.filesystem", "%s", err.text);
	}
	check_syncs(doctor, known ? &mount : NULL);
	check_room(doctor);
}
