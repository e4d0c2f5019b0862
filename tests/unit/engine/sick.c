#include "sick.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/engine_private.h"

void sick_quarantine(struct host *host, const char *actor)
{
	struct pd_actor *sick = pd_engine_find_actor(host->engine, host->session, pd_slice_string(actor));

	assert_non_null(sick);
	sick->quarantined = true;
	sick->lost_first = sick->lost_last = 1;
	assert_int_equal(pd_note_quarantine(host->engine, sick, 1, 1, &host->err), 0);
}
