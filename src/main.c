/*
 * main.c - the command: everything that it does is in cli/.
 */
int main(void)
{
    return 0;
}
