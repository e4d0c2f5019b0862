/* What the files of an order share. */
#ifndef PD_RESTORE_JOB_PRIVATE_H
#define PD_RESTORE_JOB_PRIVATE_H

#include <stdatomic.h>

#include "base/timestamp.h"
#include "engine/amend.h"
#include "engine/draft.h"
#include "engine/engine.h"
#include "engine/follower.h"
#include "engine/upkeep.h"
#include "engine/view.h"
#include "os/os.h"
#include "restore/copy.h"
#include "restore/job.h"
#include "restore/plan.h"
#include "restore/source.h"

enum pd_restore_stage {
	PD_STAGE_SETTLE,
	PD_STAGE_FIND,
	PD_STAGE_AMEND,
	PD_STAGE_BEGIN,
	PD_STAGE_FILL,
	PD_STAGE_PUT,
	PD_STAGE_VIEW,
	PD_STAGE_VERIFY,
	PD_STAGE_PUBLISH,
	PD_STAGE_DONE,
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
	unsigned views, tries;
	struct pd_actor_watch watch; /* of a restore */
	struct pd_receipt receipt;
	bool unwanted;
	/* For who asks how far it is. */
	uint64_t begun_us, written_keys, written_bytes, total_keys;

	/* The task's, while it runs. */
	struct pd_history_options options;
	struct pd_history *history;
	struct pd_restore_order order;
	struct pd_restore_known known;
	struct pd_restore_source source;
	struct pd_restore_plan plan;
	uint64_t keys_now; /* that the actor had when the plan was made */
	struct pd_copy copy;
	enum pd_copy_end end;
	struct pd_hash128 was, is;
	uint64_t draft_id;
	struct pd_buffer names, piece, reply;
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
/* Of a snapshot that was made, or verified. */
void pd_restore_write_snapshot(struct pd_restore_job *job);

#endif
