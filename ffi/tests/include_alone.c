/* Both headers must bring along all that they need, and bear being included twice. */
#ifdef __cplusplus
#include "libvision.hpp"
#include "libvision.hpp"
#endif
#include "libvision.h"
#include "libvision.h"

int main(void) { return 0; }
