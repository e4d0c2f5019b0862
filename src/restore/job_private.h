/* What the files of an order share. */
#ifndef PD_RESTORE_JOB_PRIVATE_H
#define PD_RESTORE_JOB_PRIVATE_H

#include <stdatomic.h>

#include "base/timestamp.h"
#include "engine/amend.h"
#include "engine/draft.h"
#include "engine/engine.h"
#include "engine/follower.h"
#include "engine/relation.h"
#include "engine/upkeep.h"
#include "engine/view.h"
#include "os/os.h"
#include "restore/copy.h"
#include "restore/export.h"
#include "restore/import_read.h"
#include "restore/job.h"
#include "restore/plan.h"
#include "restore/source.h"

enum pd_restore_stage {
	/* look.c */
	PD_STAGE_LINE,  /* waits for the next look */
	PD_STAGE_LOOK,  /* is in one */
	PD_STAGE_FOUND, /* is back, with an error or what was found */
	/* job.c */
	PD_STAGE_TURN, /* waits until it may be at work by itself */
	PD_STAGE_SETTLE,
	PD_STAGE_FIND,
	PD_STAGE_AMEND,
	PD_STAGE_RELATE,
	PD_STAGE_BEGIN,
	PD_STAGE_FILL,
	PD_STAGE_PUT,
	PD_STAGE_VIEW,
	PD_STAGE_VERIFY,
	PD_STAGE_PUBLISH,
	PD_STAGE_DONE,
	/* transfer.c */
	PD_STAGE_WRITE,  /* task: the next lines of an export */
	PD_STAGE_HANDED, /* they were handed out: whoever wants more says so */
	PD_STAGE_TAKE,   /* lines of an import come */
	PD_STAGE_OVER,   /* nobody went on with it */
};

#define PD_RESTORE_PIECE_MAX ((size_t)PD_KEY_SIZE_MAX + PD_VALUE_SIZE_MAX + 32 * PD_COPY_PIECE)
#define PD_RESTORE_REPLY_MAX ((size_t)4096) /* there from the start: what was done is told */
#define PD_RESTORE_NUMBERS   256u           /* of blobs, at a time */

struct pd_restore_look;

struct pd_restore_jobs {
	struct pd_engine *engine;
	struct pd_restore_job *first;      /* the newest */
	struct pd_restore_look *look;      /* that is at work; NULL: none */
	struct pd_log_look_memory *learnt; /* of the log's segments, from look to look; NULL: nothing */
	uint64_t looked_us;                /* when the last look was, and … */
	size_t looked;                     /* … how many were in it */
};

struct pd_restore_job {
	struct pd_restore_jobs *jobs;
	struct pd_restore_job *next;
	struct pd_session *session;
	struct pd_follower *follower;
	struct pd_wait wait;
	enum pd_restore_stage stage;
	struct pd_os_task *task; /* NULL: none is at work */
	struct pd_draft *draft;
	struct pd_engine_view *view;
	uint64_t lined_us;            /* since when it stands in the line */
	struct pd_restore_look *look; /* in which it is, as the … */
	size_t look_number;           /* … th */
	unsigned views, tries;
	struct pd_actor_watch watch; /* of a restore */
	struct pd_receipt receipt;
	bool unwanted;
	/* For who asks how far it is. */
	uint64_t begun_us, written_keys, written_bytes, total_keys;
	/* Of an export or an import. */
	uint64_t touched_us;
	size_t taken; /* of what has come of the lines */
	enum pd_import_stop stop;
	struct pd_import_reader reader;
	struct pd_quotas tenant_quotas;

	/* The task's, while it runs. */
	struct pd_history_options options;
	struct pd_history *history;
	struct pd_restore_order order;
	struct pd_restore_known known;
	struct pd_restore_source source;
	struct pd_restore_plan plan;
	bool alone, again;   /* it is not for a look; it comes again with the next one */
	uint64_t found_keys; /* that it had then */
	uint64_t keys_now;   /* that the actor had when the plan was made */
	struct pd_copy copy;
	enum pd_copy_end end;
	struct pd_export export;
	struct pd_relations_done related;    /* of a restore of relations */
	struct pd_relations_arrival arrival; /* of an import */
	struct pd_hash128 was, is; /* of what is made: of what it is made of, and of what was written */
	struct pd_hash128 all;     /* of all that the source had then, with relations */
	uint64_t draft_id;
	struct pd_buffer names, piece, reply;
	size_t put;                            /* of the piece, into the draft */
	char snapshot_name[PD_TIMESTAMP_SIZE]; /* of one that was given none */
	int protocol, result;
	struct pd_error err;
	atomic_bool cancelled;
};

/* ---- job_reply.c: the answer, into job->reply ---- */
/* Of what was made: a fork, an actor that was brought back. */
void pd_restore_write_made(struct pd_restore_job *job);
/* Of a restore or revert. What was not done has no bookmark. */
void pd_restore_write_changed(struct pd_restore_job *job);
/* Of a restore of relations. */
void pd_restore_write_related(struct pd_restore_job *job);
/* Of a snapshot that was made, or verified. */
void pd_restore_write_snapshot(struct pd_restore_job *job);
void pd_restore_write_imported(struct pd_restore_job *job);

/* ---- look.c ---- */
/* Go on with the look that is at work, and form one of those that wait. */
void pd_restore_look_work(struct pd_restore_jobs *jobs);
/* Now and then: let go what nobody has used for long. */
void pd_restore_look_tick(struct pd_restore_jobs *jobs);
/* Waits for the one that is at work. */
void pd_restore_look_done(struct pd_restore_jobs *jobs);
/* Is it with the task of a look? */
bool pd_restore_look_holds(const struct pd_restore_job *job);

/* ---- job_start.c ---- */
PD_MUST_CHECK int pd_restore_turn(struct pd_restore_job *job, struct pd_error *err); /* a stage */

/* ---- job.c ---- */
/* Is it about an actor that stays? */
static inline bool pd_restore_changes_own(const struct pd_restore_job *job)
{
	return job->order.verb == PD_RESTORE_RESTORE || job->order.verb == PD_RESTORE_REVERT;
}
/* Waits for its task. */
void pd_restore_destroy(struct pd_restore_job *job);
/* In a task, of whose history job->history is one: which actor, which moment, and what is to be done. */
void pd_restore_run_find(struct pd_restore_job *job);
/* Whose the name is now. After an error, which is its answer, it is no more in the line. */
PD_MUST_CHECK int pd_restore_know_again(struct pd_restore_job *job);
/* job->known has copies: the engine's may go before the job does. */
PD_MUST_CHECK int pd_restore_keep_names(struct pd_restore_job *job, struct pd_slice tenant,
					struct pd_slice name, struct pd_error *err);
/* Is it a name, and nobody has it? With `ret_actor` somebody may: who it is, which stays as it was where nobody does. */
PD_MUST_CHECK int pd_restore_check_free(const struct pd_restore_job *job, struct pd_slice tenant,
					struct pd_slice name, uint64_t *ret_actor, struct pd_error *err);
/* What one job may keep in memory: within what the whole process may have. */
size_t pd_restore_memory_max(const struct pd_engine *engine);
/* Start it, or see whether it has ended: 1: not yet. */
PD_MUST_CHECK int pd_restore_run_task(struct pd_restore_job *job, void (*run)(void *argument),
				      struct pd_error *err);
/* Is the past still there, and wanted? The history's progress. */
int pd_restore_go_on(void *context, uint64_t done_bytes);
/* Of the piece, which has entries, as much as one record takes. */
PD_MUST_CHECK int pd_restore_put_piece(struct pd_restore_job *job, struct pd_error *err);

/* ---- transfer.c: exports and imports ---- */
bool pd_restore_is_transfer(const struct pd_restore_job *job);
uint64_t pd_restore_now_us(const struct pd_restore_job *job);
/* Has nobody gone on with it for so long that nobody will? */
bool pd_restore_is_idle(const struct pd_restore_job *job);
void pd_restore_init_import(struct pd_restore_job *job);
PD_MUST_CHECK int pd_restore_begin_import(struct pd_restore_job *job, struct pd_error *err);
/* What the file says of its place; and room for the answer, before anything is done. */
PD_MUST_CHECK int pd_restore_place_import(struct pd_restore_job *job, struct pd_draft_place *place,
					  struct pd_error *err);
/* Stages. */
PD_MUST_CHECK int pd_restore_write_lines(struct pd_restore_job *job, struct pd_error *err);
PD_MUST_CHECK int pd_restore_say_over(struct pd_restore_job *job, struct pd_error *err);

#endif
