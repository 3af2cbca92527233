package dev.bulkgen.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.cuda.CudaDevice;
import dev.bulkgen.backend.cuda.EmulatedDevice;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class TestDoctorCommand {

  /** For a process of its own, in which nobody has loaded a driver. */
  public static final class Doctor {
    public static void main(String[] arguments) {
      System.exit(new CommandLine(new DoctorCommand()).execute(arguments));
    }
  }

  private record Answer(int exit, String text) {}

  private static Answer inNewProcess(List<String> options, String... arguments)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(options);
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), Doctor.class.getName()));
    command.addAll(List.of(arguments));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().remove("LD_LIBRARY_PATH");
    builder.environment().remove("JDK_JAVA_OPTIONS");
    Process process = builder.start();
    String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return new Answer(process.waitFor(), text);
  }

  @Test
  void testDescribesTheDevice() {
    EmulatedDevice.assumePresent();
    StringWriter text = new StringWriter();
    int exit = new CommandLine(new DoctorCommand()).setOut(new PrintWriter(text)).execute();
    assertEquals(0, exit, text.toString());
    CudaDevice device = CudaDevice.of(0);
    assertTrue(
        text.toString().contains(device.name() + ", sm_" + device.capability()), () -> "" + text);
    assertTrue(text.toString().contains("the kernels load"), () -> "" + text);
    assertTrue(text.toString().contains("cuBLAS"), () -> "" + text);
    assertFalse(text.toString().contains("the GPU backend"), () -> "" + text);
  }

  /** Finds the checks, and begins none of them in no time. */
  @Test
  void testFindsTheChecksOfADevice(@TempDir Path folder) {
    EmulatedDevice.assumePresent();
    StringWriter text = new StringWriter();
    int exit =
        new CommandLine(new DoctorCommand())
            .setOut(new PrintWriter(text))
            .execute("--gpu", "--time-budget=0", "--results=" + folder.resolve("results"));
    assertEquals(0, exit, text.toString());
    assertTrue(text.toString().contains("0 passed, 0 failed, 0 skipped"), () -> "" + text);
    assertTrue(text.toString().contains("left out"), () -> "" + text);
    assertTrue(text.toString().contains("TestCudaGolden"), () -> "" + text);
  }

  @Test
  void testSaysThatThereIsNothingToCheckOn() throws IOException, InterruptedException {
    Answer answer = inNewProcess(List.of(), "--gpu", "--time-budget=0");
    boolean noDriver = answer.text.contains("CUDA            not here: ");
    assertEquals(noDriver ? 3 : 0, answer.exit, answer.text);
    assertEquals(noDriver, answer.text.contains("nothing can be checked here: "), answer.text);
  }

  /** Quiet and without a failure, whether or not the machine has a driver. */
  @Test
  void testAnswersWhereNobodyLoadedADriver() throws IOException, InterruptedException {
    Answer answer = inNewProcess(List.of("--add-modules=jdk.incubator.vector", "-Xmx256m"));
    assertEquals(0, answer.exit, answer.text);
    assertTrue(answer.text.contains("vector, "), answer.text);
    assertFalse(answer.text.contains("Exception"), answer.text);
    assertFalse(answer.text.contains("\tat "), answer.text);
    boolean noDriver = answer.text.contains("CUDA            not here: ");
    assertEquals(noDriver, answer.text.contains("the GPU backend"), answer.text);
    assertTrue(answer.text.contains("-XX:MaxDirectMemorySize="), answer.text);
  }

  @Test
  void testSaysWhatTheVectorModuleNeeds() throws IOException, InterruptedException {
    Answer answer = inNewProcess(List.of());
    assertEquals(0, answer.exit, answer.text);
    assertTrue(
        answer.text.contains("plain loops: the module jdk.incubator.vector is not readable"),
        answer.text);
    assertTrue(answer.text.contains("--add-modules=jdk.incubator.vector"), answer.text);
  }
}
