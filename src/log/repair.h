/* Healing a log that lies in files, while nobody serves it: for `perdure log repair`.
 *
 * What is put right is proven to be what was written: stamps, and bytes that hold nothing, by the group that they belong to; a segment's
 * index, by its groups; groups and whole segments, by a copy whose checksums, places and chain say that they are the same; one bit that has flipped in a header, by its
 * neighbours, and in a small record by its checksum, which takes one in a million other damages for that. Of a large record the checksum
 * proves too little: it is a doubt, which somebody has to decide. What was there before is set aside, in a directory beside the log, and
 * never deleted. The rest stays as it is, and pd_log_verifier_next() says what that is.
 *
 * After a crash at any moment each file of the log is the old one or the healed one, and the same call goes on. */
#ifndef PD_LOG_REPAIR_H
#define PD_LOG_REPAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "log/log.h"
#include "log/verify.h"

enum pd_log_repair_kind {
	PD_REPAIR_BIT,     /* one bit had flipped */
	PD_REPAIR_STAMPS,  /* stamps of sectors were wrong, and nothing else */
	PD_REPAIR_COPY,    /* a group, taken from the copy */
	PD_REPAIR_SEGMENT, /* a file that was gone, taken from the copy */
	PD_REPAIR_UNUSED,  /* a sector that is not in use held what nobody wrote */
	PD_REPAIR_TORN,    /* a write that was not finished, cut */
	PD_REPAIR_ASIDE,   /* a segment that nobody needs any more */
	PD_REPAIR_PADDING, /* what lies behind a group's payload was wrong, with stamps or not */
	PD_REPAIR_INDEX,   /* a segment's index, made again from its groups */
};

/* Something that was done, or would be. */
struct pd_log_repair_step {
	enum pd_log_repair_kind kind;
	uint32_t segment;
	uint64_t offset, size;        /* bytes in the segment's file */
	uint64_t first_lsn, last_lsn; /* records that can be read again; last_lsn below first_lsn: none */
	char text[160];
};

/* Damage that looks like one flipped bit, where nothing but a checksum says that it is. */
struct pd_log_repair_doubt {
	struct pd_log_sight sight; /* what is damaged, and whose; its damage.actors are these */
	uint64_t *actors;
	uint64_t one_in; /* of so many damages of another kind, one looks the same */
	bool taken;      /* for one bit: it was put right, or would be. false: it was left as it is */
};

struct pd_log_repair_options {
	struct pd_log_options log;   /* os, directory, cluster_id, shard, trimmed_lsn */
	const char *copy_directory;  /* segments of the same log; NULL: there is none */
	const char *aside_directory; /* made when it is needed; on the same file system */
	bool flipped_bits;           /* take what looks like one for one, at the risk that each doubt tells */
	bool only_plan;              /* change nothing */
};

struct pd_log_repair {
	struct pd_log_repair_step *steps;
	size_t step_count, step_capacity;
	struct pd_log_repair_doubt *doubts;
	size_t doubt_count, doubt_capacity;
	uint64_t damage_before; /* places, as the verifier counts them */
	uint64_t files_changed;
	char copy_text[200]; /* why the copy is of no use, if it is not; else "" */
};

void pd_log_repair_init(struct pd_log_repair *repair);
void pd_log_repair_done(struct pd_log_repair *repair);

/* Heal what can be healed. Nobody has the log open. Adds steps to the report. Durable when: it returns 0.
 * PD_NEWER_FORMAT, PD_NO_SPACE, PD_NO_MEMORY, PD_IO: some of the steps may have been taken, each of them whole. */
PD_MUST_CHECK int pd_log_repair_heal(const struct pd_log_repair_options *options,
				     struct pd_log_repair *repair, struct pd_error *err);
/* Set aside every segment up to `last_segment`, oldest first: what the state has, and nobody needs to read again. The newest
 * segment always stays. */
PD_MUST_CHECK int pd_log_repair_set_aside(const struct pd_log_repair_options *options, uint32_t last_segment,
					  struct pd_log_repair *repair, struct pd_error *err);

#endif
