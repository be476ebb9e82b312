#include "core/detour.h"

_Atomic uint32_t detours;
