/* Users of a data directory that no server has: opened, changed and closed again. */
#ifndef PD_CLI_USER_STORE_H
#define PD_CLI_USER_STORE_H

#include "engine/engine.h"
#include "os/os.h"
#include "security/user.h"

struct pd_user_store {
	struct pd_os *os;
	struct pd_engine *engine;
	struct pd_session *session;
	struct pd_users users;
};

/* Open, or make, the directory. PD_BUSY: a server has it. */
PD_MUST_CHECK int pd_user_store_open(struct pd_user_store *store, struct pd_os *os, const char *data,
				     struct pd_error *err);
/* Wait until what was changed is on stable storage. */
PD_MUST_CHECK int pd_user_store_settle(struct pd_user_store *store, const struct pd_receipt *receipt,
				       struct pd_error *err);
/* Also when it is not open. Keeps an earlier error of `err`. */
PD_MUST_CHECK int pd_user_store_close(struct pd_user_store *store, struct pd_error *err);

#endif
