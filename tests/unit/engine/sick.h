/* An actor that damage has taken something of. */
#ifndef PD_TESTS_UNIT_ENGINE_SICK_H
#define PD_TESTS_UNIT_ENGINE_SICK_H

#include "host.h"

/* As if the log had lost its first record: it is quarantined, and that is noted. */
void sick_quarantine(struct host *host, const char *actor);

#endif
