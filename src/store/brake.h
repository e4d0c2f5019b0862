/* Back-pressure: how fast writes may come, so that what takes them away keeps up. Sorted files are put into the levels past
 * RocksDB's own brakes, so nothing else slows anybody down before memory is full. Pure: facts in, a rate out; the clock is the
 * caller's.
 *
 * Three debts are looked at: memory that is not flushed, files that every read of the levels has to look into, and bytes that
 * compaction still has to rewrite. Below its soft mark a debt does not matter; from there to its hard mark it is a pressure x
 * from 0 to 1:
 *
 *     rate = drain * (1 - x)^2 / sqrt(x)
 *
 *     rate / drain
 *      31 |*                       without end at the soft mark: no cliff where the braking begins
 *       3 | *
 *       1 |  ...**...............  as much comes as goes: x = 0.28
 *     0.1 |          ******        x = 0.71
 *       0 |________________******  a trickle at the hard mark; nothing only when memory is full
 *         soft      x         hard
 *
 * The rate falls as a debt grows and rises as it shrinks, always along the same curve, so it settles where as much comes as
 * goes. The drain (for memory what flushing takes away, for the levels what compaction does) only says where on the curve that
 * is; it is learnt from times in which there was enough to do, or writes that are slowed down would make it look small and be
 * slowed down for that. Where it is not known yet, or is wrong, a debt settles elsewhere below its hard mark.
 *
 * What writes use up is counted between two looks at the facts, so memory is followed byte by byte. The levels' debts change
 * by leaps, with every compaction; they are followed over the time that a few files take to go. The waiting is spread: a token
 * bucket of some milliseconds lets writes through one after another.
 *
 * Thread: one. */
#ifndef PD_STORE_BRAKE_H
#define PD_STORE_BRAKE_H

#include <stdbool.h>
#include <stdint.h>

#define PD_BRAKE_NONE        UINT64_MAX /* a rate: as fast as it comes */
#define PD_BRAKE_TRICKLE     (1u << 20) /* bytes a second that always pass while there is memory */
#define PD_BRAKE_WAIT_US_MAX 10000u     /* no single wait is longer; ask again then */

struct pd_brake_options {
	unsigned memory_soft_percent;        /* of the limit, which is the hard mark */
	uint64_t level0_soft, level0_hard;   /* files; hard 0: they do not matter */
	uint64_t pending_soft, pending_hard; /* bytes; hard 0: they do not matter */
};
#define PD_BRAKE_OPTIONS_DEFAULT                                        \
	((struct pd_brake_options){ .memory_soft_percent = 50,          \
				    .level0_soft = 20,                  \
				    .level0_hard = 80,                  \
				    .pending_soft = (uint64_t)16 << 30, \
				    .pending_hard = (uint64_t)128 << 30 })

struct pd_brake_facts {
	uint64_t memtable_bytes;       /* in use: active and frozen */
	uint64_t memtable_limit_bytes; /* 0: there is none, and memory does not matter */
	uint64_t frozen_bytes;         /* of these, waiting to be flushed or being flushed */
	uint64_t flushed_bytes;        /* since the start, in the same measure */
	uint64_t level0_files, pending_compaction_bytes;
	bool failing; /* nothing can be flushed for now: what memory is left must last */
};

/* What compaction has taken away lately, while it had enough to do. */
struct pd_brake_levels {
	double came, went; /* files of level 0 */
	double us, flushed;
	double file_bytes; /* of what was flushed, for each that came */
	double drain;      /* bytes flushed a second; 0: not known yet */
};

struct pd_brake {
	struct pd_brake_options options;
	struct pd_brake_facts facts;
	uint64_t rate; /* bytes a second, as of the last call */

	uint64_t updated_us, refilled_us;
	bool updated;
	uint64_t noted_bytes; /* since the facts were looked at */
	uint64_t busy_us;     /* flushing, since bytes were last seen to be flushed */
	double drain; /* bytes a second that flushing takes away while it is at it; 0: not known yet */
	double levels_pressure; /* followed over some seconds */
	struct pd_brake_levels levels;
	double tokens; /* bytes that may go at once; negative: more than that went */
};

void pd_brake_init(struct pd_brake *brake, const struct pd_brake_options *options);
/* Look at the facts, about ten times a second, and where memory is small also when a flush has ended. `now_us` is monotonic. */
void pd_brake_update(struct pd_brake *brake, uint64_t now_us, const struct pd_brake_facts *facts);
/* 0: a write may be evaluated now. Else ask again after so many microseconds, at most PD_BRAKE_WAIT_US_MAX. */
uint64_t pd_brake_wait_us(struct pd_brake *brake, uint64_t now_us);
/* A write went, and uses so much memory. */
void pd_brake_note(struct pd_brake *brake, uint64_t bytes);
/* Both, for a write whose size is known before: 0, and it counts as gone, or how long to wait. */
uint64_t pd_brake_take(struct pd_brake *brake, uint64_t now_us, uint64_t bytes);

#endif
