/* Writes of which no backup and no archive has a copy yet: of each class of durability profile, since when the oldest waits.
 *
 * Kept are stretches of the log, each from a write on:
 *
 *     | first write, …, last |   | first write, …, last |   | first write, … |
 *       1 s, at the longest          more, when many wait     the newest grows
 *
 * so that a write costs next to nothing, and what is told is too old at times (by one stretch: a sixty-fourth of what waits, or a second), and never too young.
 *
 * Threads: the engine's. */
#ifndef PD_ENGINE_BACKLOG_H
#define PD_ENGINE_BACKLOG_H

#include <stdint.h>

#include "log/level.h"

struct pd_engine;

/* What an actor's profile says: its own level, else its tenant's, else the server's. Who writes to several counts as the strongest of them. */
enum pd_profile_class {
	PD_PROFILE_CRITICAL, /* strict or more */
	PD_PROFILE_STANDARD,
	PD_PROFILE_PERFORMANCE,
	PD_PROFILE_COUNT,
};
#define PD_PROFILE_NONE PD_PROFILE_COUNT /* nobody promised anything */

#define PD_BACKLOG_STRETCHES 128u
#define PD_BACKLOG_NEVER     UINT64_MAX

struct pd_backlog_stretch {
	uint64_t first_us, last_lsn;
};

struct pd_backlog {
	struct pd_backlog_line {
		struct pd_backlog_stretch stretches[PD_BACKLOG_STRETCHES]; /* the oldest first */
		unsigned count;
		uint64_t width_us;
	} lines[PD_PROFILE_COUNT];
};

const char *pd_profile_class_name(enum pd_profile_class class); /* "critical" */
enum pd_profile_class pd_profile_class_of(enum pd_level level);

void pd_backlog_init(struct pd_backlog *backlog);
/* LSNs and times (monotonic) grow. PD_PROFILE_NONE is fine. */
void pd_backlog_note(struct pd_backlog *backlog, enum pd_profile_class class, uint64_t lsn, uint64_t now_us);
/* Everything up to this LSN has a copy. */
void pd_backlog_settle(struct pd_backlog *backlog, uint64_t lsn);
/* PD_BACKLOG_NEVER: nothing waits. */
uint64_t pd_backlog_oldest_us(const struct pd_backlog *backlog, enum pd_profile_class class);

/* ---- of an engine: what was written since it was opened ---- */
uint64_t pd_engine_backlog_oldest_us(const struct pd_engine *engine, enum pd_profile_class class);
void pd_engine_backlog_settle(struct pd_engine *engine, uint64_t lsn);
/* Up to which LSN this log has the same as one that had this LSN of this epoch. A directory that was put back to an earlier moment goes on in an epoch of its
 * own, and what is in backups of what it had been is of another life from there on. 0: nobody knows. */
uint64_t pd_engine_shared_lsn(const struct pd_engine *engine, uint64_t epoch, uint64_t lsn);

#endif
