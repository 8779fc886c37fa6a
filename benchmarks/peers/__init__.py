"""What Modelwire is measured against. Each is a program that serves on a free port of loopback and prints it."""
