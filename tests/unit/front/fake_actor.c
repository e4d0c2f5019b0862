/* The fake engine's actors: it has none. */
#include "engine/actor.h"

const char *pd_profile_scope_name(enum pd_profile_scope scope)
{
	(void)scope;
	return "server";
}

int pd_engine_next_actor(struct pd_engine *engine, struct pd_session *session, struct pd_slice tenant,
			 uint64_t after, uint64_t *looks, struct pd_actor_place *ret_place,
			 struct pd_error *err)
{
	(void)engine;
	(void)session;
	(void)tenant;
	(void)after;
	(void)looks;
	(void)ret_place;
	(void)err;
	return 0;
}

int pd_engine_actor_info(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
			 struct pd_actor_info *ret_info, struct pd_error *err)
{
	(void)engine;
	(void)session;
	(void)name;
	(void)ret_info;
	return pd_error_set(err, PD_NOT_FOUND, "there is no actor");
}

int pd_engine_drop_actor(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
			 struct pd_receipt *ret_receipt, struct pd_error *err)
{
	(void)engine;
	(void)session;
	(void)name;
	(void)ret_receipt;
	return pd_error_set(err, PD_NOT_FOUND, "there is no actor");
}
