/* Events of keys as messages: `notify-keyspace-events`.
 *
 *   __keyspace@0__:<key>     <event>      with K
 *   __keyevent@0__:<event>   <key>        with E
 *
 * Within a tenant; keys are named as a connection without PD.USE has to write them: `{actor}key`, bare in `main`. */
#ifndef PD_FRONT_RESP_KEYSPACE_H
#define PD_FRONT_RESP_KEYSPACE_H

#include "base/error.h"
#include "base/slice.h"

struct pd_resp_front;

#define PD_RESP_NOTIFY_TEXT_SIZE 24

/* "KEA", "Kg$x" …, "": nothing. PD_INVALID: a letter that is none. */
PD_MUST_CHECK int pd_resp_keyspace_set(struct pd_resp_front *front, struct pd_slice letters,
				       struct pd_error *err);
/* The same in Redis's order. */
void pd_resp_keyspace_text(const struct pd_resp_front *front, char text[PD_RESP_NOTIFY_TEXT_SIZE]);
/* Somebody has begun or ended to listen to something: keep what is noted for nobody low. */
void pd_resp_keyspace_listen(struct pd_resp_front *front);
/* Note what the engine has told, as messages of the request in hand. */
void pd_resp_keyspace_collect(struct pd_resp_front *front);
/* Send what keys have done by themselves, which is to expire. */
void pd_resp_keyspace_deliver(struct pd_resp_front *front);

#endif
