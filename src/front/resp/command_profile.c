/* PD.ACTOR PROFILE, PD.TENANT PROFILE and INFO: what holds for an actor or a tenant, whoever writes. */
#include "engine/actor.h"
#include "engine/profile.h"
#include "front/resp/front_private.h"

#define SYNTAX "[DURABILITY level] [QUOTA-KEYS n] [QUOTA-BYTES n] [QUOTA-OPS n] [CLEAR]"

static bool parse_level(struct pd_resp_call *call, struct pd_slice word, struct pd_profile_change *change)
{
	change->has_level = true;
	if (pd_slice_equal_nocase(word, "default")) {
		change->level = PD_LEVEL_UNSET;
		return true;
	}
	if (pd_level_parse(word, &change->level))
		return true;
	pd_resp_write_errorf(call->reply,
			     "ERR no durability level is called '%.*s'; there are none, performance, "
			     "standard, strict, full, critical and default",
			     (int)(word.size < 64 ? word.size : 64), (const char *)word.data);
	return false;
}

/* The words from the 4th on. false: the error is written. */
static bool parse_change(struct pd_resp_call *call, bool of_tenant, struct pd_profile_change *change)
{
	for (size_t i = 3; i < call->count; i++) {
		struct pd_slice word = call->words[i];
		bool has_value = i + 1 < call->count;

		if (pd_slice_equal_nocase(word, "clear")) {
			*change = (struct pd_profile_change){ .has_level = true,
							      .has_keys = true,
							      .has_bytes = true,
							      .has_ops = true,
							      .has_idle = !of_tenant };
		} else if (has_value && pd_slice_equal_nocase(word, "durability")) {
			if (!parse_level(call, call->words[++i], change))
				return false;
		} else if (has_value && pd_slice_equal_nocase(word, "quota-keys")) {
			change->has_keys = true;
			if (!pd_resp_parse_number(call, "QUOTA-KEYS (0: none)", call->words[++i], 0,
						  INT64_MAX, &change->quotas.keys))
				return false;
		} else if (has_value && pd_slice_equal_nocase(word, "quota-bytes")) {
			change->has_bytes = true;
			if (!pd_resp_parse_number(call, "QUOTA-BYTES (0: none)", call->words[++i], 0,
						  INT64_MAX, &change->quotas.bytes))
				return false;
		} else if (has_value && pd_slice_equal_nocase(word, "quota-ops")) {
			change->has_ops = true;
			if (!pd_resp_parse_number(call, "QUOTA-OPS (0: none)", call->words[++i], 0,
						  (int64_t)PD_QUOTA_OPS_MAX, &change->quotas.ops))
				return false;
		} else if (has_value && !of_tenant && pd_slice_equal_nocase(word, "expire-after")) {
			change->has_idle = true;
			if (!pd_resp_parse_number(call, "EXPIRE-AFTER (seconds; 0: never)", call->words[++i],
						  0, (int64_t)PD_IDLE_S_MAX, &change->quotas.idle_s))
				return false;
		} else {
			pd_resp_write_errorf(call->reply, "ERR syntax error: %s" SYNTAX "%s",
					     of_tenant ? "PD.TENANT PROFILE tenant "
						       : "PD.ACTOR PROFILE name ",
					     of_tenant ? "" : " [EXPIRE-AFTER seconds]");
			return false;
		}
	}
	return true;
}

static void change_profile(struct pd_resp_call *call, bool of_tenant)
{
	struct pd_session *session = pd_resp_need_session(call);
	struct pd_profile_change change = { 0 };
	struct pd_receipt receipt = { 0 };
	struct pd_error err = { 0 };
	int result;

	if (session == NULL || !parse_change(call, of_tenant, &change))
		return;
	result = pd_engine_change_profile(call->client->front->engine, session, of_tenant, call->words[2],
					  &change, &receipt, &err);
	if (pd_resp_must_wait(call->client, result, &receipt)) {
		call->later = true;
		return;
	}
	if (result != PD_FENCED) /* then nothing was done, and there is nothing to wait for */
		pd_resp_wait_for_now(call);
	if (result == 0 && receipt.lsn != 0)
		call->client->last_write = receipt;
	if (result == 0)
		pd_resp_write_status(call->reply, "OK");
	else
		pd_resp_write_engine_error(call->reply, result, &err);
}

static void answer_actor_profile(struct pd_resp_call *call)
{
	change_profile(call, false);
}

static void answer_tenant_profile(struct pd_resp_call *call)
{
	change_profile(call, true);
}

void pd_resp_write_quotas(struct pd_resp_writer *reply, const struct pd_quotas *quotas)
{
	pd_resp_write_bulk_string(reply, "quota_keys");
	pd_resp_write_integer(reply, (int64_t)quotas->keys);
	pd_resp_write_bulk_string(reply, "quota_bytes");
	pd_resp_write_integer(reply, (int64_t)quotas->bytes);
	pd_resp_write_bulk_string(reply, "quota_ops");
	pd_resp_write_integer(reply, (int64_t)quotas->ops);
}

void pd_resp_write_bytes(struct pd_resp_writer *reply, uint64_t bytes, enum pd_bytes_known known)
{
	pd_resp_write_bulk_string(reply, "bytes");
	pd_resp_write_integer(reply, (int64_t)bytes);
	pd_resp_write_bulk_string(reply, "bytes_counted");
	pd_resp_write_bulk_string(reply, pd_bytes_known_name(known));
}

static void answer_tenant_info(struct pd_resp_call *call)
{
	struct pd_session *session = pd_resp_need_session(call);
	struct pd_slice name = call->count > 2 ? call->words[2] : pd_slice(NULL, 0);
	struct pd_tenant_info info;
	struct pd_error err = { 0 };
	int result;

	if (session == NULL)
		return;
	if (call->count > 3) {
		pd_resp_write_error(call->reply,
				    "ERR wrong number of arguments for 'pd.tenant|info' command");
		return;
	}
	result = pd_engine_tenant_info(call->client->front->engine, session, name, &info, &err);
	pd_resp_wait_for_now(call);
	if (result != 0) {
		pd_resp_write_engine_error(call->reply, result, &err);
		return;
	}
	pd_resp_write_map(call->reply, 9);
	pd_resp_write_bulk_string(call->reply, "name");
	pd_resp_write_bulk(call->reply, info.name);
	pd_resp_write_bulk_string(call->reply, "actors");
	pd_resp_write_integer(call->reply, (int64_t)info.actors);
	pd_resp_write_bulk_string(call->reply, "keys");
	pd_resp_write_integer(call->reply, (int64_t)info.keys);
	pd_resp_write_bytes(call->reply, info.bytes, info.bytes_known);
	pd_resp_write_bulk_string(call->reply, "durability");
	pd_resp_write_bulk_string(call->reply,
				  info.level == PD_LEVEL_UNSET ? "default" : pd_level_name(info.level));
	pd_resp_write_quotas(call->reply, &info.quotas);
}

static void answer_help(struct pd_resp_call *call)
{
	static const char *const lines[] = {
		"INFO [tenant]",
		"    Return what is known of a tenant; alone: of this connection's.",
		"PROFILE tenant " SYNTAX,
		"    What holds for all of its actors; 0 and default: nothing.",
	};

	pd_resp_write_help(call->reply, "PD.TENANT", lines, sizeof lines / sizeof *lines);
}

#define FLAGS (PD_COMMAND_CONNECTION | PD_COMMAND_NO_MULTI)
#define WRITE (FLAGS | PD_COMMAND_WRITE | PD_COMMAND_ADMIN)
#define ROW(name, arity, flags, summary, complexity, answer)                                            \
	{                                                                                               \
		{ name, arity, flags, 0, 0, 0, "perdure", "0.1.0", summary, complexity, NULL }, answer, \
			false                                                                           \
	}

static const struct pd_resp_command commands[] = {
	ROW("pd.actor|profile", -4, WRITE, "Sets the durability level and the quotas of an actor.", "O(1)",
	    answer_actor_profile),
	ROW("pd.tenant|help", 2, PD_COMMAND_CONNECTION | PD_COMMAND_LOADING,
	    "Returns helpful text about the different subcommands.", "O(1)", answer_help),
	ROW("pd.tenant|info", -2, FLAGS, "Tells what is known of a tenant.", "O(N), N the number of actors.",
	    answer_tenant_info),
	ROW("pd.tenant|profile", -4, WRITE, "Sets the durability level and the quotas of a tenant.",
	    "O(N), N the number of actors.", answer_tenant_profile),
};

const struct pd_resp_commands pd_resp_commands_profile = { commands, sizeof commands / sizeof *commands };
