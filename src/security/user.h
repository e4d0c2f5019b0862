/* Users: who may come in, and what they may do. Their records are state of the engine; this is the table made of them.
 *
 * Threads: one, the engine's. */
#ifndef PD_SECURITY_USER_H
#define PD_SECURITY_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "crypto/digest.h"
#include "crypto/password.h"
#include "engine/engine.h"

#define PD_USERS_MAX            10000 /* a table that is walked now and then */
#define PD_USER_PASSWORD_MAX    1024  /* bytes */
#define PD_USER_RECORD_MAX      1024
#define PD_SCRAM_ITERATIONS     4096 /* RFC 7677's least, and what PostgreSQL has */
#define PD_SCRAM_ITERATIONS_MAX 1000000
#define PD_SCRAM_SALT_SIZE      16

enum pd_role {
	PD_ROLE_READ_ONLY = 1,  /* no command that writes or is an admin's */
	PD_ROLE_READ_WRITE = 2, /* no command that is an admin's */
	PD_ROLE_ADMIN = 3,
};
const char *pd_role_name(enum pd_role role); /* "read-only" */
/* "read-only", "readonly", … false: there is none of that name. */
bool pd_role_parse(struct pd_slice name, enum pd_role *ret_role);

/* What tells a password again. Both have salts of their own: neither says anything about the other. */
struct pd_verifier {
	struct pd_password_cost cost;
	uint8_t salt[PD_PASSWORD_SALT_SIZE], hash[PD_PASSWORD_HASH_SIZE];
	/* SCRAM-SHA-256 (RFC 5802, RFC 7677), for protocols that never send a password. */
	uint32_t scram_iterations;
	uint8_t scram_salt[PD_SCRAM_SALT_SIZE], stored_key[PD_SHA256_SIZE], server_key[PD_SHA256_SIZE];
};

struct pd_user {
	char name[PD_USER_NAME_MAX + 1];
	char tenant[PD_NAME_SIZE_MAX + 1]; /* where it is at home; all but admins reach no other */
	bool enabled, has_password;
	enum pd_role role;
	struct pd_verifier verifier;
};

struct pd_users {
	struct pd_user **items; /* by name */
	size_t count, capacity;
};

void pd_users_done(struct pd_users *users);
/* What the engine has, after its recovery. PD_CORRUPT: a record makes no sense; PD_NEWER_FORMAT; PD_NO_MEMORY. */
PD_MUST_CHECK int pd_users_load(struct pd_users *users, struct pd_engine *engine, struct pd_error *err);
/* NULL: nobody. Valid until it is put or removed. */
struct pd_user *pd_users_find(const struct pd_users *users, struct pd_slice name);
/* What is kept after this change: `user` put (NULL: none), the one called `removed` taken out (NULL: none). PD_INVALID: nobody could
 * administer the server any more, or there are too many; the text says what to do. */
PD_MUST_CHECK int pd_users_check_change(const struct pd_users *users, const struct pd_user *user,
					const char *removed, struct pd_error *err);
/* Write it to the engine, then to the table. */
PD_MUST_CHECK int pd_users_put(struct pd_users *users, struct pd_engine *engine, struct pd_session *session,
			       const struct pd_user *user, struct pd_receipt *ret_receipt,
			       struct pd_error *err);
/* Whoever has found it before must forget it first. */
PD_MUST_CHECK int pd_users_remove(struct pd_users *users, struct pd_engine *engine,
				  struct pd_session *session, struct pd_slice name,
				  struct pd_receipt *ret_receipt, struct pd_error *err);

/* PD_INVALID, with words: 1 to 64 bytes of UTF-8 letters, digits and signs; no space, no control, none of {}/. */
PD_MUST_CHECK int pd_user_check_name(struct pd_slice name, struct pd_error *err);
PD_MUST_CHECK int pd_user_check_password(struct pd_slice password, struct pd_error *err);

/* The record, as docs/format/state.md has it. */
PD_MUST_CHECK int pd_user_encode(const struct pd_user *user, struct pd_buffer *record);
PD_MUST_CHECK int pd_user_decode(struct pd_slice name, struct pd_slice record, struct pd_user *ret_user,
				 struct pd_error *err);

/* ---- verifiers: tens of milliseconds, in any thread ---- */
/* The salts are set; compute the rest. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_verifier_make(struct pd_verifier *verifier, struct pd_slice password);
/* 1: it is the password; 0: it is not; PD_NO_MEMORY. */
PD_MUST_CHECK int pd_verifier_check(const struct pd_verifier *verifier, struct pd_slice password);

#endif
