/* A simulated machine: the same contract, a disk in memory, everything decided by a seed.
 *
 * What is kept apart, as a real kernel and drive keep it apart:
 *   - what the process sees (every write at once: the page cache),
 *   - what is on stable storage (written with PD_OS_SYNCED, or datasynced), per 512-byte sector,
 *   - names: a create, link, rename or unlink is seen at once, and durable after the directory was synced.
 * A power cut throws the process away. For each sector with unsynced versions the seed picks which of them (the
 * durable one, or any later one) survived; each unsynced name change survives or not on its own, except that
 * changes of one name keep their order, and a directory is removed only with what was taken out of it before. File
 * sizes follow what survived.
 * A process crash (kill -9) keeps everything the process had written.
 *
 * The machine is single-threaded: a task runs inside pd_os_task_start(), or as late as it is allowed to; a queue finishes writes in an order
 * that the seed picks. Two runs with one seed make the same choices. */
#ifndef PD_OS_SIM_H
#define PD_OS_SIM_H

#include "os/os.h"

/* What of all that was not stable survives a power cut. */
enum pd_sim_survival {
	PD_SIM_SURVIVES_BY_CHANCE,
	PD_SIM_SURVIVES_NOTHING,
	PD_SIM_SURVIVES_ALL,
	/* As the digits of the seed say, one for each thing that may survive or not: 0 is nothing, and all numbers below
	 * pd_sim_combinations() together are everything that can be left. A write under way is of sectors that survive each on its own. */
	PD_SIM_SURVIVES_BY_NUMBER,
	PD_SIM_SURVIVES_LAST, /* all bytes, and of the names the change that was made last, with what it stands on */
};

/* Chances are per million, rolled for each operation on its own. */
struct pd_sim_options {
	uint64_t seed;
	unsigned direct_alignment; /* 0: direct I/O is refused; else 512 or 4096 */
	bool queue_supported;
	uint64_t disk_bytes;      /* 0: no limit; else ENOSPC beyond it */
	uint64_t memory_bytes;    /* of the machine; 0: 1 GiB */
	unsigned torn_unit;       /* 512 (default) or 4096: what the drive writes as a whole */
	unsigned write_error_ppm; /* EIO, with any part written */
	unsigned
		sync_error_ppm; /* EIO; the unsynced sectors may be dropped for good, and later syncs succeed */
	unsigned read_error_ppm;
	unsigned lost_write_ppm;        /* acknowledged, never there: a lying drive */
	unsigned misdirected_write_ppm; /* lands on another sector of the same file */
	uint64_t start_real_us;         /* 0: some day in 2026 */
	uint64_t sync_us_max; /* a synced write or a datasync takes up to this long: both clocks move on */
	bool lying_sync;      /* datasync and PD_OS_SYNCED promise and do nothing: a build without the sync */
	bool lying_directory_sync;
	bool late_tasks; /* a task may run later: when somebody asks whether it has finished, or waits for it */
};
#define PD_SIM_OPTIONS_DEFAULT \
	((struct pd_sim_options){ .direct_alignment = 512, .queue_supported = true, .torn_unit = 512 })

PD_MUST_CHECK int pd_os_sim_new(const struct pd_sim_options *options, struct pd_os **ret_os,
				struct pd_error *err);

/* Change the fault rates from here on; the seed and the disk stay. */
void pd_sim_set_options(struct pd_os *os, const struct pd_sim_options *options);

/* The nth disk operation from now (1 = the next) and all after it fail with PD_IO and change nothing, as if the
 * process were gone, until pd_sim_power_cut() or pd_sim_process_crash(). A write that is cut may have reached the
 * page cache in part. 0 switches it off. */
void pd_sim_crash_at(struct pd_os *os, uint64_t n);
bool pd_sim_crashed(const struct pd_os *os);
/* The nth operation of this kind from now fails once with `errnum` (EIO, ENOSPC, …). */
void pd_sim_fail_at(struct pd_os *os, enum pd_os_operation operation, uint64_t n, int errnum);
/* The nth disk operation from now, of any kind, fails with `errnum`; with `for_good` all after it, too. 0 switches it off. */
void pd_sim_fail_from(struct pd_os *os, uint64_t n, int errnum, bool for_good);
/* What the last power cut by number could have left, those that it could not tell from each other included; saturates. */
uint64_t pd_sim_combinations(const struct pd_os *os);
/* From here on byte n of `effects` is 1 if operation n (0: the next) is of a kind that may change the disk. `size` 0 ends it. */
void pd_sim_note_effects(struct pd_os *os, uint8_t *effects, size_t size);
/* A hash of everything that may have changed the disk: which operation on what, where and how many bytes, but not of the bytes. */
uint64_t pd_sim_shape(const struct pd_os *os);
/* Make a machine what another one is at this moment: names, bytes, what is not stable, chance, clocks. In neither a file or a queue is open;
 * writes of a process that died may still be undecided. PD_NO_MEMORY: it is good for nothing but being freed. */
PD_MUST_CHECK int pd_sim_copy(struct pd_os *os, const struct pd_os *from);
uint64_t pd_sim_operations(const struct pd_os *os);    /* disk operations so far */
uint64_t pd_sim_writes_astray(const struct pd_os *os); /* that were lost or misdirected, so far */

/* Lose everything that was not stable, as the seed decides. All handles, queues and locks of the dead process
 * become void: closing them is allowed and does nothing to the disk. */
void pd_sim_power_cut(struct pd_os *os);
/* From here on chance begins anew with this seed, and what was not stable survives power cuts like this. What the seed of the
 * machine gave else (its clock, its random bytes) stays. */
void pd_sim_set_chance(struct pd_os *os, uint64_t seed, enum pd_sim_survival survival);
/* The process is gone, the kernel lives: everything written is kept. */
void pd_sim_process_crash(struct pd_os *os);

/* ---- the disk itself, as a test sees it ---- */
/* The visible content. The pointer is valid until the next operation. PD_NOT_FOUND. */
PD_MUST_CHECK int pd_sim_content(struct pd_os *os, const char *path, const uint8_t **ret_data,
				 uint64_t *ret_size);
/* Flip one bit at rest, in what is visible and what is stable alike. */
PD_MUST_CHECK int pd_sim_flip_bit(struct pd_os *os, const char *path, uint64_t offset, unsigned bit);
/* Overwrite bytes at rest, both in what is visible and what is stable. */
PD_MUST_CHECK int pd_sim_damage(struct pd_os *os, const char *path, uint64_t offset, const void *data,
				size_t size);

/* A hash of all names and bytes as they are seen: after a power cut, of the disk. What is in a lock file does not count. */
uint64_t pd_sim_image_hash(const struct pd_os *os);

/* ---- time ---- */
void pd_sim_advance_us(struct pd_os *os, uint64_t us);  /* both clocks */
void pd_sim_jump_real_us(struct pd_os *os, int64_t us); /* the wall clock alone */

/* A hash of everything done so far (operations, arguments, results): equal for two runs of a seed. */
uint64_t pd_sim_trace_hash(const struct pd_os *os);

#endif
