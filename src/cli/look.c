#include "cli/look.h"

#define RECORDS 20000u /* replayed in one go */

int pd_look_open(struct pd_look *look, struct pd_os *os, const char *data, struct pd_error *err)
{
	struct pd_engine_options options = PD_ENGINE_OPTIONS_DEFAULT;
	struct pd_recovery recovery = { 0 };
	int result;

	*look = (struct pd_look){ 0 };
	options.os = os;
	options.data_directory = data;
	options.only_look = true;
	result = pd_engine_open(&options, &look->engine, err);
	while (result == 0 && !recovery.done)
		result = pd_engine_recover(look->engine, RECORDS, &recovery, err);
	if (result != 0)
		return result;
	look->session = pd_session_new(look->engine, 1, "default", "perdure");
	return look->session != NULL ? 0 : pd_error_set(err, PD_NO_MEMORY, "out of memory for a session");
}

void pd_look_close(struct pd_look *look)
{
	pd_session_free(look->session);
	/* Nothing was written, so there is nothing that closing could fail to keep. */
	(void)pd_engine_close(look->engine, NULL);
	*look = (struct pd_look){ 0 };
}
