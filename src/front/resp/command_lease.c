/* PD.ACTOR ACQUIRE, RENEW, RELEASE, OWNER, and PD.EPOCH: who owns an actor, and writes that say so. */
#include "engine/lease.h"
#include "front/resp/front_private.h"

#define MILLISECONDS_MAX ((int64_t)(PD_LEASE_US_MAX / 1000))

void pd_resp_write_lease(struct pd_resp_writer *reply, const struct pd_lease_info *lease)
{
	pd_resp_write_bulk_string(reply, "epoch");
	pd_resp_write_integer(reply, (int64_t)lease->epoch);
	pd_resp_write_bulk_string(reply, "owner");
	pd_resp_write_bulk(reply, lease->owner);
	pd_resp_write_bulk_string(reply, "owner_left_ms");
	pd_resp_write_integer(reply, (int64_t)((lease->left_us + 999) / 1000));
	pd_resp_write_bulk_string(reply, "exclusive");
	pd_resp_write_boolean(reply, lease->exclusive);
}

static bool parse_ttl(struct pd_resp_call *call, struct pd_slice word, uint64_t *ret_us)
{
	uint64_t ms;

	if (!pd_resp_parse_number(call, "the time in milliseconds", word, 1, MILLISECONDS_MAX, &ms))
		return false;
	*ret_us = ms * 1000;
	return true;
}

/* What a lease's change came to. false: there is no reply yet, or the error is written. */
static bool answer_change(struct pd_resp_call *call, int result, const struct pd_receipt *receipt,
			  const struct pd_error *err)
{
	if (pd_resp_must_wait(call->client, result, receipt)) {
		call->later = true;
		return false;
	}
	if (result != PD_FENCED) /* then nothing was done, and there is nothing to wait for */
		pd_resp_wait_for_now(call);
	if (result == 0)
		call->client->last_write = *receipt;
	else
		pd_resp_write_engine_error(call->reply, result, err);
	return result == 0;
}

static void answer_acquire(struct pd_resp_call *call)
{
	struct pd_session *session = pd_resp_need_session(call);
	bool exclusive = call->count == 6 && pd_slice_equal_nocase(call->words[5], "exclusive");
	struct pd_receipt receipt = { 0 };
	struct pd_error err = { 0 };
	uint64_t ttl_us, epoch = 0;
	int result;

	if (session == NULL)
		return;
	if (call->count > 5 && !exclusive) {
		pd_resp_write_error(call->reply,
				    "ERR syntax error: PD.ACTOR ACQUIRE name owner milliseconds [EXCLUSIVE]");
		return;
	}
	if (!parse_ttl(call, call->words[4], &ttl_us))
		return;
	result = pd_engine_lease_acquire(call->client->front->engine, session, call->words[2], call->words[3],
					 ttl_us, exclusive, &epoch, &receipt, &err);
	if (answer_change(call, result, &receipt, &err))
		pd_resp_write_integer(call->reply, (int64_t)epoch);
}

static void answer_renew(struct pd_resp_call *call)
{
	struct pd_session *session = pd_resp_need_session(call);
	struct pd_receipt receipt = { 0 };
	struct pd_error err = { 0 };
	uint64_t ttl_us, epoch;
	int result;

	if (session == NULL ||
	    !pd_resp_parse_number(call, "an epoch", call->words[4], 1, INT64_MAX, &epoch) ||
	    !parse_ttl(call, call->words[5], &ttl_us))
		return;
	result = pd_engine_lease_renew(call->client->front->engine, session, call->words[2], call->words[3],
				       epoch, ttl_us, &receipt, &err);
	if (answer_change(call, result, &receipt, &err))
		pd_resp_write_status(call->reply, "OK");
}

static void answer_release(struct pd_resp_call *call)
{
	struct pd_session *session = pd_resp_need_session(call);
	struct pd_receipt receipt = { 0 };
	struct pd_error err = { 0 };
	uint64_t epoch;
	int result;

	if (session == NULL || !pd_resp_parse_number(call, "an epoch", call->words[4], 1, INT64_MAX, &epoch))
		return;
	result = pd_engine_lease_release(call->client->front->engine, session, call->words[2], call->words[3],
					 epoch, &receipt, &err);
	if (answer_change(call, result, &receipt, &err))
		pd_resp_write_status(call->reply, "OK");
}

static void answer_owner(struct pd_resp_call *call)
{
	struct pd_session *session = pd_resp_need_session(call);
	struct pd_lease_info lease;
	struct pd_error err = { 0 };
	int result;

	if (session == NULL)
		return;
	result = pd_engine_lease_owner(call->client->front->engine, session, call->words[2], &lease, &err);
	pd_resp_wait_for_now(call);
	if (result != 0) {
		pd_resp_write_engine_error(call->reply, result, &err);
		return;
	}
	pd_resp_write_map(call->reply, 4);
	pd_resp_write_lease(call->reply, &lease);
}

static void answer_epoch(struct pd_resp_call *call)
{
	struct pd_session *session = pd_resp_need_session(call);
	struct pd_error err = { 0 };
	uint64_t epoch;
	int result;

	if (session == NULL ||
	    !pd_resp_parse_number(call, "an epoch (0: none any more)", call->words[2], 0, INT64_MAX, &epoch))
		return;
	result = pd_session_claim(session, call->words[1], epoch, &err);
	if (result == 0)
		pd_resp_write_status(call->reply, "OK");
	else
		pd_resp_write_engine_error(call->reply, result, &err);
}

#define FLAGS (PD_COMMAND_CONNECTION | PD_COMMAND_NO_MULTI)
#define ROW(name, arity, flags, summary, answer)                                                          \
	{                                                                                                 \
		{ name, arity, flags, 0, 0, 0, "perdure", "0.1.0", summary, "O(1)", NULL }, answer, false \
	}

static const struct pd_resp_command commands[] = {
	ROW("pd.actor|acquire", -5, FLAGS | PD_COMMAND_WRITE,
	    "Makes somebody the owner of an actor for a time.", answer_acquire),
	ROW("pd.actor|owner", 3, FLAGS, "Tells who owns an actor.", answer_owner),
	ROW("pd.actor|release", 5, FLAGS | PD_COMMAND_WRITE, "Gives an actor back.", answer_release),
	ROW("pd.actor|renew", 6, FLAGS | PD_COMMAND_WRITE, "Keeps an actor for longer.", answer_renew),
	ROW("pd.epoch", 3, FLAGS, "Lets this connection's writes to an actor carry an epoch.", answer_epoch),
};

const struct pd_resp_commands pd_resp_commands_lease = { commands, sizeof commands / sizeof *commands };
