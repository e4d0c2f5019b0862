/* Command lines evaluated on a fake transaction, replies as text: what the tests of the kv model are written in. */
#ifndef PD_TESTS_UNIT_MODEL_KV_SESSION_H
#define PD_TESTS_UNIT_MODEL_KV_SESSION_H

#include "base/buffer.h"
#include "lib/fake_txn.h"
#include "model/kv/kv.h"

#define KV_WORDS_MAX 2048

struct kv_session {
	struct pd_txn *txn;
	struct pd_buffer words;
	struct pd_buffer reply;
	int protocol;
	int code; /* of the last command: 0, or what evaluate gave */
};

void kv_session_init(struct kv_session *session);
void kv_session_done(struct kv_session *session);

/* One command as a transaction of its own. Words are separated by spaces; "…" may hold spaces and the escapes \xHH.
 * The reply has "|" for each line end, and is valid until the next call. */
const char *kv_run(struct kv_session *session, const char *line);
const char *kv_run_words(struct kv_session *session, const struct pd_slice *words, size_t count);

/* A line and the reply it must have. Lines that begin with "@" set the stage, and have no reply:
 *   @2 @3          the protocol
 *   @time 1500     so many milliseconds later
 *   @use a  @use   PD.USE
 *   @left 2 5      that many keys and fields must be stored
 *   @large 8 3     strings from 8 bytes on are kept in chunks of 3
 *   @chunks 4      that many chunks must be stored
 *   @room 10       so many bytes of memory a transaction may ask for at once */
struct kv_case {
	const char *line;
	const char *reply;
};
/* Twice: the second time, strings of 4 bytes are large already. */
void kv_check(const struct kv_case *cases, size_t count);
/* What many commands say of what is wrong with them. */
#define WRONG  "-WRONGTYPE Operation against a key holding the wrong kind of value|"
#define SYNTAX "-ERR syntax error|"
#define NO_INT "-ERR value is not an integer or out of range|"

#define KV_CHECK(cases) kv_check(cases, sizeof(cases) / sizeof((cases)[0]))

#endif
