/* Questions about the past of an actor, as words, and their answers, as replies of the Redis protocol: what PD.ACTOR HISTORY, REPLAY,
 * BLAME, DIFF, GET and MOMENT say, whether a server is asked or a directory.
 *
 *     HISTORY name [FROM moment] [TO moment] [COUNT n] [CURSOR c]         newest first
 *     REPLAY name [FROM moment] [TO moment] [COUNT n] [CURSOR c]          oldest first, with all that was written: to do it again
 *     BLAME name key [TO moment] [COUNT n] [CURSOR c]                     what wrote a key, newest first
 *     DIFF name FROM moment [TO moment] [COUNT n] [CURSOR c]
 *     GET name key [AT moment]
 *     MOMENT moment                                                       where it is: a bookmark stays what it is, -10m does not
 *
 * The first four answer with a map: cursor ("0": nothing is left), from, from_time, to, to_time (the moments that were meant, as
 * bookmarks and as times: say the times with the next cursor, so that it is the next page of the same), entries. An answer is bounded: by COUNT, and by so many bytes.
 *
 * REPLAY is of the one actor that has the name at TO, from its beginning on: an actor that took another's place begins with what it was filled with.
 * With FROM it goes on from the state of then. */
#ifndef PD_HISTORY_ANSWER_H
#define PD_HISTORY_ANSWER_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "history/moment.h"
#include "wire/resp.h"

#define PD_HISTORY_COUNT_DEFAULT 100u
#define PD_HISTORY_COUNT_MAX     10000u
#define PD_HISTORY_ANSWER_MAX    ((size_t)64 * 1024 * 1024) /* of GET, and of one transaction in a REPLAY */

enum pd_history_verb {
	PD_HISTORY_HISTORY,
	PD_HISTORY_REPLAY,
	PD_HISTORY_BLAME,
	PD_HISTORY_DIFF,
	PD_HISTORY_GET,
	PD_HISTORY_MOMENT
};

/* A question with its own copy of all that it says. */
struct pd_history_question {
	enum pd_history_verb verb;
	struct pd_buffer bytes;
	struct pd_slice actor; /* as it was asked for: [tenant/]name; size 0: it is about none */
	struct pd_slice key, cursor;
	struct pd_moment_name from, to;
	uint64_t count;
	/* The rest is the asker's to fill in: whose actor it is, without a tenant in its name; and what is known of the name already:
	 * which actor has it, since that LSN. 0: nothing is known. */
	struct pd_slice tenant;
	uint64_t actor_id, actor_since_lsn;
};

/* `words` begin with the verb. PD_INVALID: the text says what is wrong. PD_NO_MEMORY. *ret_question is to be given back with
 * pd_history_question_done(), after an error, too. */
PD_MUST_CHECK int pd_history_question_parse(const struct pd_slice *words, size_t count,
					    struct pd_history_question *ret_question, struct pd_error *err);
void pd_history_question_done(struct pd_history_question *question);

/* One reply is written, or none and an error: PD_INVALID (a cursor that is none), PD_TOO_LARGE (a transaction of a REPLAY, or what GET asks for), PD_NOT_FOUND (of
 * REPLAY, too: the log does not reach back to its beginning), what moments are resolved with, and reading. */
PD_MUST_CHECK int pd_history_answer(struct pd_history *history, const struct pd_history_question *question,
				    struct pd_resp_writer *reply, struct pd_error *err);

#endif
