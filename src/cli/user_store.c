#include "cli/user_store.h"

#define FOREVER_S \
	(UINT64_C(100) * 365 * 24 * 3600) /* nothing of the past goes: that is the server's to decide */
#define RECORDS       20000u
#define LOOK_US       200u
#define SETTLE_US_MAX 60000000u

int pd_user_store_open(struct pd_user_store *store, struct pd_os *os, const char *data, struct pd_error *err)
{
	struct pd_engine_options options = PD_ENGINE_OPTIONS_DEFAULT;
	struct pd_recovery recovery = { 0 };
	int result;

	*store = (struct pd_user_store){ .os = os };
	options.os = os;
	options.data_directory = data;
	options.retention_s = FOREVER_S;
	options.retention_bytes = 0;
	result = pd_engine_open(&options, &store->engine, err);
	while (result == 0 && !recovery.done)
		result = pd_engine_recover(store->engine, RECORDS, &recovery, err);
	if (result == 0)
		result = pd_users_load(&store->users, store->engine, err);
	if (result != 0)
		return result;
	store->session = pd_session_new(store->engine, 1, "default", "perdure user");
	return store->session != NULL ? 0 : pd_error_set(err, PD_NO_MEMORY, "out of memory for a session");
}

int pd_user_store_settle(struct pd_user_store *store, const struct pd_receipt *receipt, struct pd_error *err)
{
	for (unsigned waited = 0; waited < SETTLE_US_MAX; waited += LOOK_US) {
		int result = pd_engine_step(store->engine);

		if (result != 0)
			return pd_error_set(err, result, "%s", pd_engine_fence_text(store->engine));
		result = pd_engine_settled(store->engine, &receipt->wait);
		if (result != 0)
			return result == 1
				       ? 0
				       : pd_error_set(err, result, "%s", pd_engine_fence_text(store->engine));
		pd_os_sleep_us(store->os, LOOK_US);
	}
	return pd_error_set(err, PD_IO,
			    "the disk has not taken the change for a minute: its outcome is unknown");
}

int pd_user_store_close(struct pd_user_store *store, struct pd_error *err)
{
	int result = 0;

	pd_session_free(store->session);
	pd_users_done(&store->users);
	if (store->engine != NULL)
		result = pd_engine_close(store->engine, err);
	*store = (struct pd_user_store){ 0 };
	return result;
}
