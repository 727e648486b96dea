import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Where Debian's chromium package keeps a software Vulkan driver and a Vulkan loader. */
const CHROMIUM = "/usr/lib/chromium";
const DRIVER = join(CHROMIUM, "vk_swiftshader_icd.json");

/**
 * The environment in which ONNX Runtime finds SwiftShader, where it is installed. Loaders read it when a process starts, so tests that
 * need it run in a process begun with it. NULLSCOPE_TEST_ADAPTER=native tests the machine's own adapter instead.
 */
export function softwareAdapterEnv(): Record<string, string> {
  if (process.env.NULLSCOPE_TEST_ADAPTER === "native" || !existsSync(DRIVER)) return {};
  const libraries = [process.env.LD_LIBRARY_PATH, CHROMIUM].filter((path) => path !== undefined && path !== "");
  return { VK_DRIVER_FILES: DRIVER, VK_ICD_FILENAMES: DRIVER, LD_LIBRARY_PATH: libraries.join(delimiter) };
}
