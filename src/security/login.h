/* Passwords that are being checked or made into verifiers, beside the loop: each costs tens of milliseconds and 12 MiB, so few are
 * computed at once, and who gets them wrong has to wait.
 *
 *     _verify or _make -> a login that is pending -> _step, now and then -> accepted, refused or failed -> _free
 *
 * Fairness: addresses have their turn one after the other, each with the login that has waited longest there, so that it matters to
 * nobody how many wait at another's. One address has at most one at a time, and one that has got passwords wrong again and again has
 * none for a while: 100 ms after the third, doubling up to 5 s, forgotten at one failure in 10 s. When all places are taken, an address
 * with fewer waiting takes one from the address with the most. So a flood from one address costs others at most the one that is
 * being computed.
 *
 * Threads: the loop's; the work itself is done in tasks, which touch nothing but their own login. */
#ifndef PD_SECURITY_LOGIN_H
#define PD_SECURITY_LOGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "security/user.h"

struct pd_os;
struct pd_logins;
struct pd_login;

enum pd_login_state {
	PD_LOGIN_PENDING,
	PD_LOGIN_ACCEPTED, /* the password is right; or the verifier is made */
	PD_LOGIN_REFUSED,
	PD_LOGIN_CROWDED_OUT, /* others wanted its place: PD_LOGIN_BUSY_TEXT */
	PD_LOGIN_FAILED,      /* for want of memory or threads: nobody knows */
};

#define PD_LOGIN_BUSY_TEXT "too many logins wait already; try again later"

struct pd_login_stats {
	uint64_t accepted, refused;
	uint64_t delayed;  /* had to wait because of their address's failures */
	uint64_t rejected; /* too many waited already, or came to wait */
	size_t waiting, running;
};

/* NULL: no memory. */
struct pd_logins *pd_logins_new(struct pd_os *os);
/* Waits for what is being computed. NULL is fine. Logins that are left become nobody's, and are freed with it. */
void pd_logins_free(struct pd_logins *logins);

/* Check a password against the verifier, which is copied; NULL: of a user who is not there, at the same cost. `address`: who asks,
 * with or without a port. PD_BUSY: too many from there wait already; PD_NO_MEMORY. */
PD_MUST_CHECK int pd_logins_verify(struct pd_logins *logins, const char *address,
				   const struct pd_verifier *verifier, struct pd_slice password,
				   struct pd_login **ret_login, struct pd_error *err);
/* Make a verifier. */
PD_MUST_CHECK int pd_logins_make(struct pd_logins *logins, struct pd_slice password,
				 struct pd_login **ret_login, struct pd_error *err);
enum pd_login_state pd_login_state(const struct pd_login *login);
/* Was the password checked against this verifier, and not one that it had before? */
bool pd_login_was_for(const struct pd_login *login, const struct pd_verifier *verifier);
/* Of pd_logins_make(), when it is accepted. */
const struct pd_verifier *pd_login_verifier(const struct pd_login *login);
/* Its client has ended its side of the connection: it has gone, or waits for the answer all the same. A few such logins of an
 * address wait on; false: this one is one too many, to be freed with its client. */
PD_MUST_CHECK bool pd_login_lingers(struct pd_login *login);
/* Also while it is pending: it is then forgotten, and freed when its task has ended. NULL is fine. */
void pd_login_free(struct pd_login *login);

/* Collect what has ended, start what may start. */
void pd_logins_step(struct pd_logins *logins);
/* When pd_logins_step() is due; < 0: not before another login. */
int64_t pd_logins_timeout_us(const struct pd_logins *logins);
void pd_logins_stats(const struct pd_logins *logins, struct pd_login_stats *ret_stats);

#endif
