/* Who may read which page of the HTTP door: Basic authentication (RFC 7617) with the users of src/security.
 *
 * A page that is open to anybody asks nothing. Any other asks as the Redis door does: nobody while there is no user, but for this
 * machine; then whoever is no client of this machine, or everybody, by their name and password or by their certificate. Every
 * role may read. A password is checked beside the loop, once for a connection: what has been checked is remembered by a
 * digest, until the user changes.
 *
 * Thread: the loop's. */
#ifndef PD_FRONT_HTTP_ACCESS_H
#define PD_FRONT_HTTP_ACCESS_H

#include <stdbool.h>

#include "crypto/digest.h"
#include "crypto/password.h"
#include "front/http/front.h"

struct pd_login;

/* A connection's. */
struct pd_http_caller {
	struct pd_login *login;              /* going on; NULL: none */
	bool known;                          /* somebody with … */
	uint8_t digest[PD_SHA256_SIZE];      /* … these credentials … */
	uint8_t hash[PD_PASSWORD_HASH_SIZE]; /* … which were right for this verifier */
};

enum pd_http_verdict {
	PD_HTTP_ALLOWED,
	PD_HTTP_LATER,   /* a password is being checked: ask again with the same request */
	PD_HTTP_REFUSED, /* the page has status and words */
};

/* May this be answered to who sent it? The page is filled where it may not be. */
enum pd_http_verdict pd_http_access_judge(const struct pd_http_guard *guard, struct pd_http_caller *caller,
					  const struct pd_connection *connection,
					  const struct pd_http_request *request, struct pd_http_page *page);
/* Has what the caller waits for come to its end? Also when it waits for nothing. */
bool pd_http_access_is_decided(const struct pd_http_caller *caller);
void pd_http_access_forget(struct pd_http_caller *caller);

#endif
